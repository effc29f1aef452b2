// The one error type that dunlin throws on purpose: its message names the file, op or layer, what was got, what was
// wanted and a remedy. Anything else that escapes is a bug.

export class DunlinError extends Error {
  override name = 'DunlinError'
}
