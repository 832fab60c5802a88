// What commands cost as typed, by the clock and by processor time, on a cluster of one node that has nothing to do. Docker's client
// is asked the same.
import { readFileSync } from 'node:fs'
import { type BenchCluster, rounds, timed } from './cluster.ts'
import { type Measurement, measurement } from './figures.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'

const commands: readonly { readonly words: string; readonly goalMs: number | undefined }[] = [
  { words: '--help', goalMs: undefined },
  { words: 'version', goalMs: undefined },
  { words: 'node ls', goalMs: 150 },
  { words: 'service ls', goalMs: 150 },
]
/** Of Linux's clock ticks in /proc. Source: sysconf(_SC_CLK_TCK), 100 on every architecture that Node runs on. */
const msPerTick = 10

/** `--tries=N`: how often each is typed; default 20. */
export async function runCliBench(context: BenchContext): Promise<BenchResult> {
  const tries = context.tries ?? 20
  return await sideBySide('cli', { managers: 1, workers: 0 }, context, async (cluster, tell) => {
    for (const { words, goalMs } of commands) {
      const type = () => cluster.type('m1', ...words.split(' '))
      for (const each of await measure(`${words}, as typed`, goalMs, { tries, type })) tell(each)
    }
    const bare = () => runBare(cluster)
    for (const each of await measure('bare Node, for comparison', undefined, { tries, type: bare }))
      tell(each)
  })
}

function runBare(cluster: BenchCluster): Promise<void> {
  return cluster.run('m1', process.execPath, '-e', '0')
}

async function measure(
  what: string,
  goalMs: number | undefined,
  { tries, type }: { readonly tries: number; readonly type: () => Promise<void> },
): Promise<readonly Measurement[]> {
  // The first one reads the program from the disk.
  await type()
  const before = childrenMs()
  const typed = await rounds(tries, () => timed(type))
  const processor = (childrenMs() - before) / tries
  return [
    measurement(what, goalMs, typed),
    measurement(`${what}: processor`, undefined, [processor]),
  ]
}

/** Processor time of all processes that this one has started and that have ended. Source: proc(5), /proc/PID/stat. */
function childrenMs(): number {
  const text = readFileSync('/proc/self/stat', 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [user = 0, system = 0] = fields.slice(13, 15).map(Number)
  return (user + system) * msPerTick
}
