import t from 'tap'
import { SlotAgenda } from '../../../../manager/loops/slot-agenda.ts'
import type { Scope } from '../../../../manager/orchestrator/service-view.ts'

function slots(scope: Scope): number[] | 'all' {
  return scope === 'all' ? scope : [...scope].map(Number).sort((a, b) => a - b)
}

const written = { isEmpty: true, wakeAtMs: undefined }

t.test(
  'what is marked is taken once; of an unmarked service everything is looked at',
  async (t) => {
    const agenda = new SlotAgenda()
    agenda.mark('s', 2)
    agenda.mark('s', 5)
    agenda.mark('other', 9)
    t.same(slots(agenda.take('s', 0)), [2, 5])
    t.equal(agenda.take('s', 0), 'all')
    agenda.mark('other', 'all')
    t.equal(agenda.take('other', 0), 'all', 'all covers single slots')
  },
)

t.test('what a plan changed is looked at again, in case it was not written', async (t) => {
  const agenda = new SlotAgenda()
  agenda.mark('s', 2)
  const scope = agenda.take('s', 0)
  agenda.decided('s', scope, { isEmpty: false, wakeAtMs: undefined })
  agenda.mark('s', 7)
  t.same(slots(agenda.take('s', 0)), [2, 7])
  agenda.decided('s', new Set([2, 7]), written)
  agenda.mark('s', 1)
  t.same(slots(agenda.take('s', 0)), [1])
})

t.test('a slot that waits is not forgotten when others are decided about', async (t) => {
  const agenda = new SlotAgenda()
  t.equal(agenda.decided('s', new Set([1]), { isEmpty: true, wakeAtMs: 500 }), 500)
  t.equal(agenda.decided('s', new Set([2]), { isEmpty: true, wakeAtMs: 900 }), 500)
  agenda.mark('s', 3)
  t.same(slots(agenda.take('s', 400)), [3], 'not yet')
  t.equal(agenda.decided('s', new Set([3]), written), 500)
  t.same(slots(agenda.take('s', 500)), [1], 'due')
  t.equal(agenda.decided('s', new Set([1]), written), 900)
  t.equal(
    agenda.decided('s', 'all', written),
    undefined,
    'a look at everything knows all that waits',
  )
})

t.test('very many waits become one look at everything, at the earliest', async (t) => {
  const agenda = new SlotAgenda()
  for (let slot = 1; slot <= 100; slot++) {
    agenda.decided('s', new Set([slot]), { isEmpty: true, wakeAtMs: 1_000 + slot })
  }
  agenda.mark('s', 1)
  t.equal(agenda.take('s', 1_001), 'all')
})
