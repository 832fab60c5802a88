// How long no write is accepted after the leader was lost under writes, in every way it can be lost, and how soon a lost
// leader that goes on knows. Three managers of fresh clusters. A try fails the run when an acknowledged write is lost.
import { type BenchCluster, rounds } from './cluster.ts'
import { type FailoverTry, type Fault, failOver, faults } from './failover-try.ts'
import { type Measurement, measurement } from './figures.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'

const defaultTries = 20
/** Docker takes ten times as long to elect, and as long again to be whole. */
const dockerTries = 3

/** Measures on fresh clusters of three managers. */
export async function runFailoverBench(context: BenchContext): Promise<BenchResult> {
  const { tries = defaultTries } = context
  return await sideBySide(
    'failover',
    { managers: 3, workers: 0 },
    context,
    async (cluster, tell) => {
      const count = cluster.side === 'docker' ? Math.min(tries, dockerTries) : tries
      for (const fault of faults) await measure(cluster, fault, count, tell)
    },
  )
}

async function measure(
  cluster: BenchCluster,
  fault: Fault,
  count: number,
  tell: (measurement: Measurement) => void,
): Promise<void> {
  const all: FailoverTry[] = await rounds(count, () => failOver(cluster, fault))
  const { what, oldLeader } = fault
  const accepted = all.map(({ acceptedMs }) => acceptedMs)
  tell(measurement(`leader ${what}: first write accepted`, 1_000, accepted))
  const longest = all.map(({ longestWriteMs }) => longestWriteMs)
  tell(measurement(`leader ${what}: longest write of a user`, undefined, longest))
  if (oldLeader === 'killed') return
  const since = oldLeader === 'stopped' ? 'continued' : what
  const steppedDown = all.flatMap(({ steppedDownMs }) => steppedDownMs ?? [])
  tell(measurement(`leader ${since}: it has stepped down`, 1_000, steppedDown))
}
