// The rules that tests may break: sound by default, broken one by one, sound again afterwards.
import type { ConfAt, Entry } from 'raft-ts'
import t from 'tap'
import { breakRules, rules } from '../build/core/rules.js'
import { bytesOf, plainConf } from './support/cluster.ts'

t.test('rules: sound as they are (Raft paper figure 2 and 5.4.2, thesis 4.1)', async (t) => {
  t.ok(rules.mayVote(undefined, 'a', undefined))
  t.ok(rules.mayVote('a', 'a', 'a'), 'the same vote may be asked for again')
  t.notOk(rules.mayVote('b', 'a', undefined))
  t.notOk(rules.mayVote(undefined, 'a', 'b'), 'the term has a leader')
  t.ok(rules.mayCount(3, 3))
  t.notOk(rules.mayCount(2, 3))
  t.notOk(rules.mayCount(undefined, 3))
  const confs: readonly ConfAt[] = [1, 5, 9].map((index) => ({ index, conf: plainConf(['a']) }))
  t.equal(rules.inUse(confs, 1)?.index, 9)
  t.ok(rules.holds(2, 2))
  t.notOk(rules.holds(1, 2))
  t.notOk(rules.holds(undefined, 2))
  const entries: readonly Entry[] = [1, 2].map((index) => ({
    kind: 'data',
    term: 1,
    index,
    data: bytesOf('x'),
  }))
  t.equal(rules.inOrder(entries), entries)
})

t.test('rules: broken until they are put right', async (t) => {
  const mend = breakRules({ mayCount: () => true })
  t.ok(rules.mayCount(1, 2))
  t.notOk(rules.mayVote('b', 'a', undefined), 'the others are not')
  mend()
  t.notOk(rules.mayCount(1, 2))
})
