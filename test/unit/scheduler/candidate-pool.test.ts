import t from 'tap'
import { serviceId, specHash } from '../../../proto/objects/index.ts'
import { CandidatePool } from '../../../scheduler/candidate-pool.ts'
import { ClusterIndex } from '../../../scheduler/cluster-index.ts'
import { demandOf } from '../../../scheduler/demand.ts'
import { aNode, aTask, aTaskSpec, type TaskSpecFacts } from '../../support/objects.ts'

const random = (): number => 0.5

function anIndex(nodes: number): ClusterIndex {
  const index = new ClusterIndex('spread')
  for (let at = 0; at < nodes; at++) index.putNode(aNode({ id: `n${at}` }))
  return index
}

function demand(facts: TaskSpecFacts = {}) {
  return demandOf(specHash('spec-1'), aTaskSpec(facts))
}

t.test('candidates of one class are kept, of every other class and strategy made', async (t) => {
  const pool = new CandidatePool(anIndex(4))
  const first = pool.take(demand(), 'spread', random)
  t.equal(pool.take(demand({ image: 'other' }), 'spread', random), first, 'the image is no matter')
  t.not(pool.take(demand(), 'binpack', random), first)
  t.not(pool.take(demand({ reservations: { nanoCpus: 1 } }), 'spread', random), first)
})

t.test('kept candidates know what happened meanwhile', async (t) => {
  const index = anIndex(4)
  const pool = new CandidatePool(index)
  const first = pool.take(demand(), 'spread', random)
  index.putNode(aNode({ id: 'n0', availability: 'drain' }))
  index.changeTask(undefined, aTask({ id: 't1', node: 'n1' }))
  const again = pool.take(demand(), 'spread', random)
  t.equal(again, first)
  again.open(serviceId('s'), 1, 0)
  t.match(again.best()?.node.id, /^n[23]$/)
  t.match(again.refusals(), [{ filter: { name: 'ready' }, nodes: 1 }])
})

t.test(
  'after more changes than there are nodes, or with new nodes, they are made anew',
  async (t) => {
    const index = anIndex(4)
    const pool = new CandidatePool(index)
    const first = pool.take(demand(), 'spread', random)
    for (let at = 0; at < 5; at++) index.putNode(aNode({ id: 'n0' }))
    const second = pool.take(demand(), 'spread', random)
    t.not(second, first)
    index.putNode(aNode({ id: 'n4' }))
    t.not(pool.take(demand(), 'spread', random), second)
  },
)

t.test('the least lately used classes are given up', async (t) => {
  const pool = new CandidatePool(anIndex(2))
  const first = pool.take(demand(), 'spread', random)
  for (let cpus = 1; cpus <= 63; cpus++) {
    pool.take(demand({ reservations: { nanoCpus: cpus } }), 'spread', random)
  }
  t.equal(pool.take(demand(), 'spread', random), first, 'the 64th')
  pool.take(demand({ reservations: { nanoCpus: 64 } }), 'spread', random)
  t.equal(pool.take(demand(), 'spread', random), first, 'it was used')
  for (let cpus = 100; cpus < 164; cpus++) {
    pool.take(demand({ reservations: { nanoCpus: cpus } }), 'spread', random)
  }
  t.not(pool.take(demand(), 'spread', random), first)
})
