import t from 'tap'
import { serviceId } from '../../../proto/objects/index.ts'
import { FailureRecord, failureWindowMs } from '../../../scheduler/failure-record.ts'
import { aTask } from '../../support/objects.ts'

const service = serviceId('service-1')

function failures(times: readonly number[], node = 3): FailureRecord {
  const record = new FailureRecord()
  for (const appliedAtMs of times) record.add(aTask({ appliedAtMs }), node)
  return record
}

t.test('five within five minutes are many, in whatever order they became known', async (t) => {
  const record = failures([500, 100, 300, 200, 400])
  t.same([...record.troubled(service, 1, 1_000)], [[3, 5]])
  t.same([...record.troubled(service, 1, 100 + failureWindowMs)], [], 'the first has expired')
  t.same([...record.troubled(service, 2, 1_000)], [], 'another version')
  t.same([...record.troubled(serviceId('other'), 1, 1_000)], [], 'another service')
})

t.test('only the latest are kept, so that a crash loop costs no memory', async (t) => {
  const record = failures(Array.from({ length: 1_000 }, (_, at) => at))
  t.same([...record.troubled(service, 1, 1_000)], [[3, 32]])
})

t.test('what expired is forgotten, and so is a dropped node', async (t) => {
  const record = failures([1, 2, 3, 4, 5])
  record.prune(1_000_000)
  t.same([...record.troubled(service, 1, 5)], [])
  const other = failures([1, 2, 3, 4, 5])
  other.dropNode(3)
  t.same([...other.troubled(service, 1, 5)], [])
})
