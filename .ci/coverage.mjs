// Prints what the unit tests cover of our own source, and fails below the thresholds. Generated code and tests do not count.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'

const thresholds = { lines: 90, branches: 85 }
const foreign = /^(proto\/gen|test|raft-ts\/test|build|node_modules)\//

const summary = JSON.parse(readFileSync('.tap/report/coverage-summary.json', 'utf8'))
const own = Object.entries(summary).filter(
  ([path]) => path !== 'total' && !foreign.test(relative('.', path)),
)
let failed = own.length === 0
for (const [kind, wanted] of Object.entries(thresholds)) {
  const total = own.reduce((sum, [, file]) => sum + file[kind].total, 0)
  const covered = own.reduce((sum, [, file]) => sum + file[kind].covered, 0)
  const percent = (100 * covered) / total
  console.log(`   ${kind} covered: ${percent.toFixed(1)} % (at least ${wanted})`)
  if (!(percent >= wanted)) failed = true
}
process.exit(failed ? 1 : 0)
