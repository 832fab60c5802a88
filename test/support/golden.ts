// Comparing a text with a file of the repository. With UPDATE_GOLDEN=1 the file is written instead.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Test } from 'tap'

/** `path` from the root of the repository, which is where tests run. */
export function golden(t: Test, path: string, text: string): void {
  const file = resolve(path)
  if (process.env['UPDATE_GOLDEN'] === '1') {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  t.equal(text, readFileSync(file, 'utf8'), path)
}
