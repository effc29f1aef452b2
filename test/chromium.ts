// Where Chromium is: the program that CHROMIUM names, or one of its usual names on the PATH or, on a Mac, among the applications.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const MAC = ['/Applications/Chromium.app/Contents/MacOS/Chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome']
const folders = (process.env.PATH ?? '').split(delimiter)
const usual = [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...MAC]
const candidates = process.env.CHROMIUM ? [process.env.CHROMIUM] : usual
export const executable = candidates.find((file) => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
})
export const WITHOUT = `${process.env.CHROMIUM ?? 'Chromium'} was not found: install Debian's \`chromium\`, or set CHROMIUM to the program`
