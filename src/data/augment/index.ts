// All augmentations. They are given to a Trainer, `augment: [padCrop(4), flip()]`, which applies them in this order.

export type { Augmentation } from './augmentation'
export { brightness, contrast, noise } from './level'
export { cutout, flip, padCrop, shift } from './move'
export { timeShift } from './time'
export { crop, rotate, zoom } from './turn'
