// NPZ, several NumPy arrays in one file: a zip archive with an NPY file for each. Opened by fflate.

import { unzipSync } from 'fflate'
import { DunlinError } from '../graph/error'
import { type Npy, parseNpy } from './npy'

/** Of all arrays together, decompressed. */
const MAX_BYTES = 2 ** 31
/** No more than this many bytes come out of one byte of deflate. */
const MAX_RATIO = 1032

/** The arrays by name, without `.npy`; an array's source is `<source>/<name>.npy`. @throws DunlinError when the file is not of that kind. */
export function parseNpz(bytes: Uint8Array, source: string): Map<string, Npy> {
  let total = 0
  let files: Record<string, Uint8Array>
  try {
    files = unzipSync(bytes, {
      filter({ name, size, originalSize }) {
        if (!name.endsWith('.npy')) return false
        total += originalSize
        if (originalSize > MAX_RATIO * (size + 1) || total > MAX_BYTES) {
          const got = `${name} claims ${originalSize} bytes from ${size}`
          throw new DunlinError(
            `${source}: ${got}, wanted at most 2 GiB in all. It is damaged, or too large: save the arrays one by one.`,
          )
        }
        return true
      },
    })
  } catch (cause) {
    if (cause instanceof DunlinError) throw cause
    const got = `does not open as a zip archive (${(cause as Error).message})`
    throw new DunlinError(`${source}: ${got}. It is no NPZ file, cut short or damaged: copy or make it again.`, { cause })
  }
  const arrays = new Map<string, Npy>()
  for (const [name, file] of Object.entries(files)) arrays.set(name.slice(0, -4), parseNpy(file, `${source}/${name}`))
  if (!arrays.size) throw new DunlinError(`${source}: the archive has no NPY file in it. Save arrays with numpy.savez.`)
  return arrays
}
