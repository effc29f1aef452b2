// The gradient of a 3x3 convolution of stride 1 with respect to its weights, in Winograd's domain (assembly/f32/winograd.ts): there
// y = A^T [ (G w G^T) . (B^T x B) ] A, so
//
//   dw = G^T [ sum over tiles of (A dy A^T) . (B^T x B) ] G
//
// Each of the (n + 2)^2 positions is a sum of outer products over tiles, of the whole batch: 36 multiplications for 4x4 pixels of
// a pair of channels instead of 144 (n = 2: 16 for 2x2 instead of 36). The way back is gone once.
//
// Error: at most c * 2^-24 * max|x| * (the largest sum of |dy| over an output channel), c = 6 for n = 2 and 24 for n = 4, as long as the sums
// over tiles err less than the transforms; test/winograd.test.ts holds both to it.

import { splat } from './lanes'
import { outer } from './outer'
import { spread } from './spread'
import { APART, COLUMN, Column, constant, enter, Far, minus, plus, ROW, Row, scaled } from './winograd'

/** One column (or row) of A dy: n values to n + 2, at distances as in enterLine. p4: 4. */
// @ts-ignore: decorator
@inline
function gradientLine<T, A, B>(x: usize, from: usize, y: usize, to: usize, n: i32, p4: T): void {
  const d0 = load<T>(x)
  x += from
  const d1 = load<T>(x, offsetof<A>())
  store<T>(y, d0)
  y += to
  if (n == 2) {
    store<T>(y, plus<T>(d0, d1), offsetof<B>())
    y += to
    store<T>(y, minus<T>(d0, d1), 2 * offsetof<B>())
    y += to
    store<T>(y, minus<T>(minus<T>(d1, d1), d1), 3 * offsetof<B>())
  } else {
    x += from
    const d2 = load<T>(x, 2 * offsetof<A>())
    x += from
    const d3 = load<T>(x, 3 * offsetof<A>())
    const even = plus<T>(d0, d2)
    const odd = plus<T>(d1, d3)
    store<T>(y, plus<T>(even, odd), offsetof<B>())
    y += to
    store<T>(y, minus<T>(even, odd), 2 * offsetof<B>())
    y += to
    const far = scaled<T>(d2, p4, d0)
    const half = scaled<T>(d3, p4, d1)
    const twice = plus<T>(half, half)
    store<T>(y, plus<T>(far, twice), 3 * offsetof<B>())
    y += to
    store<T>(y, minus<T>(far, twice), 4 * offsetof<B>())
    y += to
    store<T>(y, d3, 5 * offsetof<B>())
  }
}

/** A dy A^T of a tile of n lines, `line` bytes apart, of n pixels: to positions, as winograd.ts's enter. */
// @ts-ignore: decorator
@inline
export function enterGradient<T>(
  dy: usize, pixel: usize, line: usize, patch: usize, s: usize, position: usize, n: i32, p4: T,
): void {
  let column = patch
  for (let j = 0; j < n; j++) {
    gradientLine<T, Far, Row>(dy, line, column, 0, n, p4)
    dy += pixel
    column += COLUMN
  }
  const down = (n + 2) * position
  for (let i = 0; i < n + 2; i++) {
    gradientLine<T, Column, Far>(patch, 0, s, position, n, p4)
    patch += ROW
    s += down
  }
}

/** One column (or row) of G^T u: n + 2 values, `from` bytes apart, to 3. */
// @ts-ignore: decorator
@inline
function weightLine<T>(x: usize, from: usize, y: usize, to: usize, n: i32, zero: T): void {
  const u0 = load<T>(x)
  const u1 = load<T>(x + from)
  const u2 = load<T>(x + 2 * from)
  const u3 = load<T>(x + 3 * from)
  if (n == 2) {
    const half = splat<T>(0.5)
    const sum = scaled<T>(plus<T>(u1, u2), half, zero)
    store<T>(y, plus<T>(u0, sum))
    store<T>(y + to, scaled<T>(minus<T>(u1, u2), half, zero))
    store<T>(y + 2 * to, plus<T>(sum, u3))
  } else {
    const u4 = load<T>(x + 4 * from)
    const u5 = load<T>(x + 5 * from)
    const sixth = splat<T>(1.0 / 6.0)
    const near = scaled<T>(plus<T>(u1, u2), splat<T>(-1.0 / 6.0), zero)
    const far = plus<T>(u3, u4)
    store<T>(y, scaled<T>(u0, splat<T>(0.25), scaled<T>(far, splat<T>(1.0 / 24.0), near)))
    store<T>(y + to, scaled<T>(minus<T>(u2, u1), sixth, scaled<T>(minus<T>(u3, u4), splat<T>(1.0 / 12.0), zero)))
    store<T>(y + 2 * to, plus<T>(scaled<T>(far, sixth, near), u5))
  }
}

/** As spread, of the first oc of the ldy values of each pixel. */
// @ts-ignore: decorator
@inline
function take(dy: usize, g: usize, oh: i32, ow: i32, oc: i32, ldy: i32, rows: i32, line: i32): void {
  memory.fill(g, 0, rows * line)
  for (let r = 0; r < oh; r++) {
    let to = g + r * line
    for (let q = 0; q < ow; q++) {
      let c = 0
      if (ASC_FEATURE_SIMD) for (; c + 4 <= oc; c += 4) v128.store(to + (c << 2), v128.load(dy + (c << 2)))
      for (; c < oc; c++) store<f32>(to + (c << 2), load<f32>(dy + (c << 2)))
      dy += ldy << 2
      to += oc << 2
    }
  }
}

/**
 * dw += the gradient of a 3x3 convolution of stride 1 with respect to w [oc][3][3][ic], summed over the batch.
 *
 * n        2 or 4: the pixels of dy that a tile has in each direction
 * block    tiles transformed before their products are summed up
 * ldy      elements from one pixel of dy to the next: oc, or more where dy and dw are a range of the output channels
 * scratch  elements, with th = ceil(oh / n), tw = ceil(ow / n), ceil4 rounding up to 4: (n * th + 2) * (n * tw + 2) * ic and
 *          n * th * n * tw * oc, each rounded up to 4; then 144 + (n + 2)^2 * (block * (ceil4(ic) + ceil4(oc)) + oc * ceil4(ic) + 48)
 */
export function conv2d_f32_dw_winograd(
  x: usize, dy: usize, dw: usize, scratch: usize,
  n: i32, block: i32, batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32, ldy: i32,
): void {
  if (ASC_FEATURE_SIMD) {
    if (n == 2) gradient<v128>(x, dy, dw, scratch, 2, block, batch, ih, iw, ic, oh, ow, oc, pt, pl, ldy)
    else gradient<v128>(x, dy, dw, scratch, 4, block, batch, ih, iw, ic, oh, ow, oc, pt, pl, ldy)
  } else gradient<f32>(x, dy, dw, scratch, n, block, batch, ih, iw, ic, oh, ow, oc, pt, pl, ldy)
}

// @ts-ignore: decorator
@inline
function gradient<T>(
  x: usize, dy: usize, dw: usize, scratch: usize,
  n: i32, block: i32, batch: i32, ih: i32, iw: i32, ic: i32, oh: i32, ow: i32, oc: i32, pt: i32, pl: i32, ldy: i32,
): void {
  const t = n + 2
  const across = (ow + n - 1) / n
  const down = (oh + n - 1) / n
  const ph = n * down + 2
  const pw = n * across + 2
  const lanes = isVector<T>() ? 4 : 1
  const p4 = constant<T>(4, batch)
  const n4 = constant<T>(-4, batch)
  const n5 = constant<T>(-5, batch)
  const zero = splat<T>(0)
  const pixel = ic << 2
  const line = pw * pixel
  const gPixel = oc << 2
  const gLine = n * across * gPixel
  const g = scratch + ((ph * line + 15) & -16)
  const patch = g + ((n * down * gLine + 15) & -16)
  const vRow = ((ic + 3) & -4) << 2
  const sRow = ((oc + 3) & -4) << 2
  const v = patch + 6 * ROW
  const vPosition = block * vRow + APART
  const s = v + t * t * vPosition
  const sPosition = block * sRow + APART
  const u = s + t * t * sPosition
  const uPosition = oc * vRow + APART
  memory.fill(u, 0, t * t * uPosition)
  let q = 0
  for (let b = 0; b < batch; b++) {
    spread(x, scratch, ih, iw, pixel, ph, pw, pt, pl)
    if (ldy == oc) spread(dy, g, oh, ow, gPixel, n * down, n * across, 0, 0)
    else take(dy, g, oh, ow, oc, ldy, n * down, gLine)
    for (let ty = 0; ty < down; ty++) {
      for (let tx = 0; tx < across; tx++) {
        for (let c = 0; c < ic; c += lanes) {
          const from = scratch + (ty * n * line + tx * n * pixel + (c << 2))
          const to = v + q * vRow + (c << 2)
          enter<T>(from, pixel, line, patch, to, vPosition, n, p4, n4, n5)
        }
        for (let c = 0; c < oc; c += lanes) {
          const from = g + (ty * n * gLine + tx * n * gPixel + (c << 2))
          const to = s + q * sRow + (c << 2)
          enterGradient<T>(from, gPixel, gLine, patch, to, sPosition, n, p4)
        }
        q++
        if (q == block || (b == batch - 1 && ty == down - 1 && tx == across - 1)) {
          for (let p = 0; p < t * t; p++) {
            outer(v + p * vPosition, s + p * sPosition, u + p * uPosition, oc, ic, vRow >> 2, 1, q, 0, vRow, sRow)
          }
          q = 0
        }
      }
    }
    x += ih * iw * pixel
    dy += (oh * ow * ldy) << 2
  }
  for (let o = 0; o < oc; o++) {
    for (let c = 0; c < ic; c += lanes) {
      const from = u + (o * vRow + (c << 2))
      for (let j = 0; j < t; j++) {
        weightLine<T>(from + j * uPosition, t * uPosition, patch + j * COLUMN, ROW, n, zero)
      }
      for (let i = 0; i < 3; i++) {
        // In place: the 3 results of a row go where its first values were.
        const row = patch + i * ROW
        weightLine<T>(row, COLUMN, row, COLUMN, n, zero)
        for (let j = 0; j < 3; j++) {
          const to = dw + (((o * 9 + i * 3 + j) * ic + c) << 2)
          if (c + lanes <= ic) store<T>(to, plus<T>(load<T>(to), load<T>(row + j * COLUMN)))
          else {
            for (let l = 0; c + l < ic; l++) {
              const at = to + (l << 2)
              store<f32>(at, load<f32>(at) + load<f32>(row + j * COLUMN + (l << 2)))
            }
          }
        }
      }
    }
  }
}
