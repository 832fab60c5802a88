// Runs test files, each in a process of its own, and says in one piece: first every failed assertion with its diff, then what
// else the failed files said, last how many assertions passed in what time, and how much CPU they and all they began had:
// what takes far more of the clock than of the CPU waits. What FILE printed is kept in .tap/output/FILE.
// Not the runner of tap, which loads a module hook into every process below it, daemons and commands as well: most of them
// take twice the time to begin with it.
// usage: node .ci/run-files.mjs --name=NAME --counts=FILE [--jobs=N] [--timeout=SECONDS] [--coverage] FILE...
// Adds a line `PASSED FAILED` to the file of counts.
import { spawn } from 'node:child_process'
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { countsOf, failuresOf, withoutPassed } from './tap-output.mjs'

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string', default: 'tests' },
    counts: { type: 'string', default: '/dev/null' },
    jobs: { type: 'string', default: '1' },
    timeout: { type: 'string', default: '30' },
    coverage: { type: 'boolean', default: false },
  },
})
const root = fileURLToPath(new URL('..', import.meta.url))
/** A test file ends itself when its time is over, and says what it waited for; one that hangs is ended after this. */
const graceMs = 20_000
const restLinesMax = 300
const slowestShown = 5

const hook = new URL('coverage-hook.mjs', import.meta.url).href
// Not what a runner around this one told its own test file.
const inherited = Object.entries(process.env).filter(([name]) => !/^_?TAP/.test(name))
const environment = {
  ...Object.fromEntries(inherited),
  TAP_TIMEOUT: values.timeout,
  ...(values.coverage ? { NODE_OPTIONS: `--import=${hook}` } : {}),
}
if (values.coverage) rmSync(`${root}/.tap/coverage`, { recursive: true, force: true })

const running = new Set()
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal)
    process.exit(1)
  })
}

/** Resolves with how it ended, undefined if well. */
function runs(file, output) {
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    stdio: ['ignore', output, output, 'ipc'],
    env: environment,
  })
  running.add(child)
  const endAfter = (ms) => setTimeout(() => end(child), ms + graceMs)
  let timer = endAfter(Number(values.timeout) * 1_000)
  // What a test file tells of the time it wants (t.setTimeout).
  child.on('message', ({ setTimeout: ms }) => {
    if (typeof ms !== 'number') return
    clearTimeout(timer)
    timer = endAfter(ms)
  })
  return new Promise((resolve) => {
    child.once('error', (err) => resolve(err.message))
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? undefined : (signal ?? `code ${code}`)),
    )
  }).finally(() => {
    clearTimeout(timer)
    running.delete(child)
  })
}

function end(child) {
  child.kill('SIGALRM')
  setTimeout(() => child.kill('SIGKILL'), 5_000).unref()
}

async function result(file) {
  const path = `${root}/.tap/output/${relative(root, file)}`
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  // Appended to, for the processes of a test write there too.
  const output = openSync(path, 'a')
  const beganMs = performance.now()
  const ending = await runs(file, output)
  closeSync(output)
  const text = readFileSync(path, 'utf8')
  const counts = countsOf(text)
  const { total, passed } = counts ?? { total: 1, passed: 0 }
  const isWell = ending === undefined && counts !== undefined
  // One that failed without a failed assertion has one more.
  const hidden = !isWell && total === passed ? 1 : 0
  const seconds = (performance.now() - beganMs) / 1_000
  return { file, text, ending, total: total + hidden, passed, seconds }
}

const waiting = files.map((file) => relative('', file))
const results = []
const worker = async () => {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    results.push(await result(file))
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, worker))

/** Of the processes that have ended and were waited for. Source: proc(5), cutime and cstime, in hundredths of a second. */
function cpuSecondsOfChildren() {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[13]) + Number(fields[14])) / 100
}

function* report() {
  const failed = results.filter(({ total, passed }) => total !== passed)
  yield `== ${values.name}`
  for (const { file, text, ending } of failed) {
    const failures = failuresOf(text)
    for (const failure of failures) yield `FAILED ${file}: ${failure}`
    if (failures.length === 0) yield `FAILED ${file}: it ended with ${ending ?? 'no counts'}`
  }
  for (const { file, text, ending } of failed) {
    yield `-- ${file} ended with ${ending ?? 'code 0'} and said, but for what passed:`
    yield* withoutPassed(text).slice(-restLinesMax)
  }
  if (results.length > 1) {
    const slowest = results.sort((a, b) => b.seconds - a.seconds).slice(0, slowestShown)
    yield `   slowest: ${slowest.map(({ file, seconds }) => `${file} ${seconds.toFixed(1)} s`).join(', ')}`
  }
  const took = `${(performance.now() / 1_000).toFixed(0)} s, ${cpuSecondsOfChildren().toFixed(0)} s of CPU`
  yield `   ${passed} of ${total} passed in ${took}\n`
}

const sum = (key) => results.reduce((all, one) => all + one[key], 0)
const [total, passed] = [sum('total'), sum('passed')]
// In one write, for two of these may print at once.
process.stdout.write([...report()].join('\n'))
appendFileSync(values.counts, `${passed} ${total - passed}\n`)
