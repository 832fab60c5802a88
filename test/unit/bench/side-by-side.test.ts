import t from 'tap'
import { onCluster } from '../../bench/side-by-side.ts'

interface FakeCluster {
  readonly calls: string[]
  up(): Promise<void>
  down(): Promise<void>
}

function aCluster(up: () => Promise<void> = async () => {}): FakeCluster {
  const calls: string[] = []
  return {
    calls,
    up: async () => {
      calls.push('up')
      await up()
      calls.push('is up')
    },
    down: async () => {
      calls.push('down')
    },
  }
}

const never = new AbortController().signal

t.test('a cluster is removed when it was measured', async (t) => {
  const cluster = aCluster()
  const result = await onCluster(cluster, never, async ({ calls }) => [...calls])
  t.strictSame(result, ['up', 'is up'])
  t.strictSame(cluster.calls, ['up', 'is up', 'down'])
})

t.test('a cluster is removed when measuring fails, and when it does not come up', async (t) => {
  const measured = aCluster()
  const failing = onCluster(measured, never, () => Promise.reject(new Error('no figure')))
  await t.rejects(failing, { message: 'no figure' })
  t.strictSame(measured.calls, ['up', 'is up', 'down'])
  const broken = aCluster(() => Promise.reject(new Error('no daemon')))
  await t.rejects(
    onCluster(broken, never, async () => 1),
    { message: 'no daemon' },
  )
  t.strictSame(broken.calls, ['up', 'down'])
})

t.test(
  'an interrupt leaves a measurement that does not end, and the cluster is removed',
  async (t) => {
    const stop = new AbortController()
    const cluster = aCluster()
    const measuring = onCluster(cluster, stop.signal, () => {
      stop.abort()
      return new Promise<never>(() => {})
    })
    await t.rejects(measuring, { code: 'CANCELLED' })
    t.strictSame(cluster.calls, ['up', 'is up', 'down'])
  },
)

t.test(
  'an interrupt while the cluster starts waits until it is up, and nothing is measured',
  async (t) => {
    const stop = new AbortController()
    const cluster = aCluster(async () => stop.abort())
    const measure = (): never => t.fail('measured') as never
    await t.rejects(onCluster(cluster, stop.signal, measure), { code: 'CANCELLED' })
    t.strictSame(cluster.calls, ['up', 'is up', 'down'])
  },
)

t.test('after an interrupt no further cluster is made', async (t) => {
  const cluster = aCluster()
  const late = onCluster(cluster, AbortSignal.abort(), async () => 1)
  await t.rejects(late, { code: 'CANCELLED' })
  t.strictSame(cluster.calls, [])
})
