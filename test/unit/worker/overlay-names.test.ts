// Which names may be answered before the kernel is where they lead.
import t from 'tap'
import { networkId, nodeId } from '../../../proto/objects/index.ts'
import { namesWithin, viewsOnPaths } from '../../../worker/overlay-names.ts'
import { aService, aServing, aView, pathsOf, servingNames } from '../../support/overlay-names.ts'

t.test('what is in a base is told as it is, by the same objects', (t) => {
  const before = aView('red', [aServing('a'), aServing('b')])
  const after = { ...before, tasks: [aServing('a'), aServing('b', { isServing: false })] }
  t.equal(namesWithin([after], [[before]])[0], after)
  t.equal(namesWithin([before], [[], [before]])[0], before)
  t.end()
})

t.test('a task that no base leads to is known, and not led to', (t) => {
  const before = aView('red', [aServing('a'), aServing('b', { isServing: false })])
  const after = aView('red', [aServing('a'), aServing('b'), aServing('c')])
  const [view] = namesWithin([after], [[before]])
  t.same(
    view?.tasks.map(({ taskId, isServing }) => [taskId, isServing]),
    [
      ['a', true],
      ['b', false],
      ['c', false],
    ],
  )
  t.end()
})

t.test('each base adds to what is told', (t) => {
  const after = aView('red', [aServing('a'), aServing('b'), aServing('c')])
  const bases = [[aView('red', [aServing('a')])], [aView('red', [aServing('b')])]]
  t.same(namesWithin([after], bases).flatMap(servingNames), ['a', 'b'])
  t.end()
})

t.test('a task with another address or node is as a new one', (t) => {
  const before = aView('red', [aServing('a'), aServing('b'), aServing('c')])
  const moved = aServing('b', { addresses: ['10.0.1.200'] })
  const after = aView('red', [aServing('a'), moved, aServing('c', { nodeId: nodeId('b') })])
  t.same(namesWithin([after], [[before]]).flatMap(servingNames), ['a'])
  t.end()
})

t.test('what a base has on another network does not count', (t) => {
  const after = [aView('red', [aServing('a')]), aView('blue', [aServing('a')])]
  const told = namesWithin(after, [[aView('blue', [aServing('a')])]])
  t.same(
    told.map((view) => [view.network.id, servingNames(view)]),
    [
      [networkId('red'), []],
      [networkId('blue'), ['a']],
    ],
  )
  t.end()
})

t.test(
  'a virtual address that is not there yet is no answer, and the name leads where it led',
  (t) => {
    const told = (
      before: Parameters<typeof aService>[0],
      after: Parameters<typeof aService>[0],
    ) => {
      const bases = before === undefined ? [] : [[aView('red', [], [aService(before)])]]
      const [view] = namesWithin([aView('red', [], [aService(after)])], bases)
      return view?.services.map(({ mode, vips }) => [mode, ...vips])
    }
    t.same(told(undefined, {}), [['vip']], 'a new service')
    t.same(told(undefined, { mode: 'dnsrr', vips: [] }), [['dnsrr']])
    t.same(told({ mode: 'dnsrr', vips: [] }, {}), [['dnsrr']], 'still by the tasks')
    t.same(told({}, { mode: 'dnsrr', vips: [] }), [['dnsrr']], 'at once')
    t.same(told({}, { vips: ['10.0.1.2', 'fd00::2'] }), [['vip', '10.0.1.2']], 'a family more')
    t.same(told({ vips: ['10.0.1.2', 'fd00::2'] }, {}), [['vip', '10.0.1.2']], 'a family less')
    t.same(told({}, { vips: ['10.0.1.3'] }), [['vip']], 'another one')
    t.end()
  },
)

t.test('a task on a node without a path does not serve', (t) => {
  const near = aView('red', [aServing('a')])
  const far = aView('blue', [aServing('a'), aServing('b', { nodeId: nodeId('z') })])
  const [first, second] = viewsOnPaths([near, far], pathsOf('a'))
  t.equal(first, near)
  t.same(
    second?.tasks.map(({ isServing }) => isServing),
    [true, false],
  )
  t.equal(viewsOnPaths([far], pathsOf('a', 'z'))[0], far)
  t.end()
})
