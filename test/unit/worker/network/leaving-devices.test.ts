import t from 'tap'
import type { ObservedItem } from '../../../../worker/network/kernel-state.ts'
import { LeavingDevices } from '../../../../worker/network/leaving-devices.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

function anItem(kind: ObservedItem['kind'], key: string, dev?: string): ObservedItem {
  return { kind, key, fields: dev === undefined ? {} : { dev }, identity: '' }
}

const gone = [
  anItem('link', 'v1'),
  anItem('neighbour', 'v1 10.0.1.5'),
  anItem('route', '10.0.1.5', 'v1'),
]
const other = [
  anItem('link', 'v12'),
  anItem('neighbour', 'v12 10.0.1.6'),
  anItem('route', '10.0.1.6', 'v12'),
]

t.test('what goes by itself is not seen, with what hangs on it', async (t) => {
  const leaving = new LeavingDevices(new VirtualClock())
  t.same(leaving.without([...gone, ...other]), [...gone, ...other])
  leaving.add(['v1'])
  t.same(leaving.without([...gone, ...other]), other)
})

t.test('what does not go is seen again', async (t) => {
  const clock = new VirtualClock()
  const leaving = new LeavingDevices(clock)
  leaving.add(['v1'])
  await clock.advance(29_000)
  leaving.add(['v1'])
  t.same(leaving.without(gone), [], 'it began to go only once')
  await clock.advance(1_000)
  t.same(leaving.without(gone), gone)
  await clock.advance(60_000)
  leaving.add(['v12'])
  t.same(leaving.without([...gone, ...other]), gone)
})

t.test('no more are remembered than there is room for', async (t) => {
  const leaving = new LeavingDevices(new VirtualClock())
  leaving.add(['v1'])
  leaving.add(Array.from({ length: 10_000 }, (_, i) => `w${i}`))
  leaving.add(['v12'])
  t.same(leaving.without([...gone, ...other]), gone)
})
