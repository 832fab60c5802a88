import { execFileSync, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import t from 'tap'
import { atUsualPriority } from '../../../../proto/lib/priority.ts'
import { raisePriority } from '../../../support/raise-priority.ts'

const niceness = -7

const skip = raisePriority(niceness) ? false : 'this host lets nobody go before others'

/** Of all threads of a process. */
function nicenessOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
  })
}

/** A program that has started another: how nice both are. */
async function started(start: typeof atUsualPriority): Promise<readonly number[]> {
  const child = start(() => spawn('sh', ['-c', 'sleep 100 & echo $!; wait'], { stdio: 'pipe' }))
  const ended = new Promise((resolve) => child.once('close', resolve))
  const [line] = await Promise.race([
    new Promise<Buffer[]>((resolve) => child.stdout.once('data', (data) => resolve([data]))),
    ended.then(() => []),
  ])
  const inner = Number(String(line))
  const found = [...nicenessOf(child.pid ?? 0), ...nicenessOf(inner)]
  process.kill(inner, 'SIGKILL')
  await ended
  return found
}

const asChild = (call: string): readonly string[] => {
  const module = new URL('../../../../proto/lib/priority.js', import.meta.url).href
  const script = `import { atUsualPriority } from ${JSON.stringify(module)}; console.log(JSON.stringify(${call}))`
  return [process.execPath, '--input-type=module', '--eval', script]
}

t.test('what it starts goes before others too, but what shall not', { skip }, async (t) => {
  t.equal(raisePriority(niceness), true)
  t.same(await started((start) => start()), [niceness, niceness])
  t.same(await started(atUsualPriority), [0, 0])
  t.equal(getPriority(), niceness, 'this process itself goes on as before')
  t.throws(() => atUsualPriority(() => fail()), /cannot start/)
  t.equal(getPriority(), niceness, 'also after a start that failed')
})

t.test(
  'one that was given it and may not give it to itself starts things all the same',
  { skip },
  async (t) => {
    t.equal(raisePriority(niceness), true)
    const [file = '', ...args] = [
      ...['setpriv', '--bounding-set', '-sys_nice', '--inh-caps', '-sys_nice'],
      ...asChild('atUsualPriority(() => 1)'),
    ]
    t.equal(execFileSync(file, args, { encoding: 'utf8' }).trim(), '1')
  },
)

t.test('what is started is never better off, nor worse', async (t) => {
  setPriority(5)
  t.same(await started(atUsualPriority), [5, 5])
})

function fail(): never {
  throw new Error('cannot start')
}
