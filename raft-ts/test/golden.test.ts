// Golden transcripts: a script in, every effect out. `UPDATE_GOLDEN=1` writes them anew, to be read in review.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { runTranscript } from './support/transcript.ts'

const folder = new URL('../test/golden/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'))

t.ok(names.length >= 5, 'the transcripts are there')
for (const name of names) {
  t.test(name, async (t) => {
    const file = new URL(name, folder)
    const text = readFileSync(file, 'utf8')
    const actual = runTranscript(text)
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, actual)
    else t.equal(actual, text)
  })
}
