import fc from 'fast-check'
import type { ConfChangeStep, ConfState } from 'raft-ts'
import t from 'tap'
import { enterChange, leaveJoint } from '../build/core/confchange.js'
import { plainConf } from './support/cluster.ts'

function changed(conf: ConfState, ...steps: readonly ConfChangeStep[]): ConfState {
  const result = enterChange(conf, { steps })
  if (result.kind === 'refused') throw new Error(result.reason)
  return result.conf
}

function reason(conf: ConfState, ...steps: readonly ConfChangeStep[]): string | undefined {
  const result = enterChange(conf, { steps })
  return result.kind === 'refused' ? result.reason : undefined
}

t.test('a change of learners alone is taken at once (thesis 4.2.1)', async (t) => {
  const conf = plainConf(['a', 'b', 'c'])
  t.same(changed(conf, { kind: 'add-learner', id: 'd' }), plainConf(['a', 'b', 'c'], ['d']))
  const withLearner = plainConf(['a'], ['d'])
  t.same(changed(withLearner, { kind: 'remove', id: 'd' }), plainConf(['a']))
})

t.test('a change of voters goes through a joint configuration (thesis 4.3)', async (t) => {
  const joint = changed(plainConf(['a', 'b'], ['c']), { kind: 'add-voter', id: 'c' })
  t.same(joint, {
    voters: ['a', 'b', 'c'],
    outgoing: ['a', 'b'],
    learners: [],
    learnersNext: [],
  })
  t.same(leaveJoint(joint), plainConf(['a', 'b', 'c']))
})

t.test('a demoted voter becomes a learner when the joint configuration is left', async (t) => {
  const joint = changed(plainConf(['a', 'b', 'c']), { kind: 'add-learner', id: 'c' })
  t.same(joint, {
    voters: ['a', 'b'],
    outgoing: ['a', 'b', 'c'],
    learners: [],
    learnersNext: ['c'],
  })
  t.same(leaveJoint(joint), plainConf(['a', 'b'], ['c']))
})

t.test('several steps are one change', async (t) => {
  const joint = changed(
    plainConf(['a', 'b', 'c'], ['d']),
    { kind: 'add-voter', id: 'd' },
    { kind: 'remove', id: 'a' },
    { kind: 'add-learner', id: 'e' },
  )
  t.same(leaveJoint(joint), plainConf(['b', 'c', 'd'], ['e']))
})

t.test('invalid changes are refused with a reason', async (t) => {
  const conf = plainConf(['a'], ['b'])
  t.equal(reason(conf), 'the change has no steps')
  t.equal(reason(conf, { kind: 'remove', id: '' }), 'a step names no node')
  t.equal(
    reason(conf, { kind: 'remove', id: 'b' }, { kind: 'add-voter', id: 'b' }),
    'node b is named by two steps',
  )
  t.equal(reason(conf, { kind: 'remove', id: 'a' }), 'the change would leave no voter')
  t.equal(reason(conf, { kind: 'add-learner', id: 'a' }), 'the change would leave no voter')
  t.equal(reason(conf, { kind: 'remove', id: 'z' }), 'the change changes nothing')
  t.equal(reason(conf, { kind: 'add-voter', id: 'a' }), 'the change changes nothing')
  const joint = changed(conf, { kind: 'add-voter', id: 'b' })
  t.equal(reason(joint, { kind: 'remove', id: 'b' }), 'a membership change is under way')
})

const ids = ['a', 'b', 'c', 'd', 'e', 'f']
const someStep = fc.record({
  kind: fc.constantFrom('add-voter' as const, 'add-learner' as const, 'remove' as const),
  id: fc.constantFrom(...ids),
})

/** The same change on plain sets, without a joint step. */
function naive(
  conf: ConfState,
  steps: readonly ConfChangeStep[],
): { voters: string[]; learners: string[] } {
  const role = new Map<string, string>()
  for (const id of conf.voters) role.set(id, 'add-voter')
  for (const id of conf.learners) role.set(id, 'add-learner')
  for (const step of steps) role.set(step.id, step.kind)
  const having = (kind: string): string[] => ids.filter((id) => role.get(id) === kind)
  return { voters: having('add-voter'), learners: having('add-learner') }
}

t.test(
  'any sequence of changes leads where plain sets lead, and ids never have two roles',
  async (t) => {
    const seed = Date.now() & 0xffffff
    t.comment(`property seed ${seed}`)
    const changes = fc.array(fc.array(someStep, { minLength: 1, maxLength: 3 }), { maxLength: 8 })
    fc.assert(
      fc.property(changes, (sequence) => {
        let conf = plainConf(['a', 'b', 'c'])
        for (const steps of sequence) {
          const result = enterChange(conf, { steps })
          if (result.kind === 'refused') continue
          const joint = result.conf
          const expected = naive(conf, steps)
          if (joint.outgoing.length > 0 && joint.outgoing !== conf.voters) return false
          const all = [...joint.voters, ...joint.learners, ...joint.learnersNext]
          if (new Set(all).size !== all.length) return false
          conf = joint.outgoing.length > 0 ? leaveJoint(joint) : joint
          if ([...conf.voters].sort().join() !== expected.voters.join()) return false
          if ([...conf.learners].sort().join() !== expected.learners.join()) return false
        }
        return true
      }),
      { seed, numRuns: 1000 },
    )
  },
)
