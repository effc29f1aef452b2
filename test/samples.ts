// Small graphs for every op, which the tests of ops run forward and backward on every build. Sizes are ragged on purpose:
// channels round the tiles of 4 and 8, odd images, windows that hang over the border. An op without samples does not compile.
// The families are in test/samples, under the names that they have in test/reference.

import type { OpName } from '../src/ops'
import { conversions } from './samples/conversions'
import { elementwise } from './samples/elementwise'
import { losses } from './samples/losses'
import { moves } from './samples/moves'
import { norms } from './samples/norms'
import { products } from './samples/products'
import { recurrent } from './samples/recurrent'
import type { Sample } from './samples/sample'
import { sound } from './samples/sound'
import { windows } from './samples/windows'
import { together } from './together'

export type { Sample }

export const samples: Record<OpName, Sample[]> = together(
  windows,
  products,
  norms,
  elementwise,
  moves,
  recurrent,
  conversions,
  losses,
  sound,
)
