// What a package has beside the bundle: manual pages and completion scripts, made from the command objects.
// Run by packaging/stage: `node build/cli/package-files.js FOLDER`. Not part of the bundle.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../proto/version.ts'
import { completionScripts } from './completion-scripts.ts'
import { manPages } from './man.ts'

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('name the folder to write to')

/** Of the source, so that the same source makes the same pages. */
const seconds = Number(process.env['SOURCE_DATE_EPOCH'])
const date = new Date(Number.isNaN(seconds) ? 0 : seconds * 1000).toISOString().slice(0, 10)

mkdirSync(join(folder, 'man'), { recursive: true })
for (const { file, text } of await manPages(version, date)) {
  writeFileSync(join(folder, 'man', file), text)
}

/** Named as the folders of the shells want it. */
const names: Readonly<Record<string, string>> = {
  bash: 'tsswarm',
  zsh: '_tsswarm',
  fish: 'tsswarm.fish',
}
for (const [shell, script] of Object.entries(completionScripts)) {
  const place = join(folder, 'completions', shell)
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, names[shell] ?? shell), script)
}
