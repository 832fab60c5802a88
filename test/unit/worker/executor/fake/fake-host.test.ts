import t from 'tap'
import type { ContainerConfig } from '../../../../../worker/executor/executor.ts'
import { FakeHost } from '../../../../../worker/executor/fake/fake-host.ts'
import { VirtualClock } from '../../../../support/virtual-clock.ts'

const plain: ContainerConfig = {
  id: 'c1',
  image: 'hello',
  env: [],
  labels: {},
  mounts: [],
  network: { kind: 'none' },
} as never

t.test(
  'a host knows the volumes of slots that containers were made with, and tells of each once',
  async (t) => {
    const host = new FakeHost({ clock: new VirtualClock() })
    let told = 0
    const end = host.onSlotVolumes(() => {
      told += 1
    })
    const slots = { kind: 'volume', name: 'data-2', target: '/data', isSlots: true } as const
    const shared = { kind: 'volume', name: 'shared', target: '/shared' } as const
    host.create({ ...plain, mounts: [slots, shared] }, {})
    host.create({ ...plain, id: 'c2', mounts: [slots] }, {})
    t.same(host.slotVolumes(), ['data-2'])
    t.equal(told, 1)
    end()
    host.create({ ...plain, id: 'c3', mounts: [{ ...slots, name: 'data-1' }] }, {})
    t.same(host.slotVolumes(), ['data-1', 'data-2'])
    t.equal(told, 1)
  },
)

t.test('who asked is told of the start of a container, once', async (t) => {
  const started: string[] = []
  const host = new FakeHost({ clock: new VirtualClock(), onStart: (id) => started.push(id) })
  host.create(plain, {})
  host.start('c1')
  host.start('c1')
  t.same(started, ['c1'])
})
