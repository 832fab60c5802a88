// Loaded first in every process of a unit test: writes what V8 counted of our own modules to .tap/coverage when the process
// or thread ends. In place of NODE_V8_COVERAGE, which writes every module with its source map, 6 MB for most test files.
import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { threadId } from 'node:worker_threads'

const root = new URL('..', import.meta.url)
const directory = new URL('.tap/coverage/', root)
const foreign = /\/(node_modules|proto\/gen|build\/test|raft-ts\/build-test|\.ci)\//

const session = new Session()
session.connect()
session.post('Profiler.enable')
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

process.once('exit', () => {
  session.post('Profiler.takePreciseCoverage', (err, coverage) => {
    if (err) throw err
    const own = coverage.result.filter(({ url }) => url.startsWith(root.href) && !foreign.test(url))
    if (own.length === 0) return
    mkdirSync(directory, { recursive: true })
    const file = `${process.pid}-${threadId}-${Date.now()}.json`
    writeFileSync(new URL(file, directory), JSON.stringify({ result: own }))
  })
})
