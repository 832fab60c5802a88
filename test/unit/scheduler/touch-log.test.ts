import t from 'tap'
import { TouchLog } from '../../../scheduler/touch-log.ts'

t.test('whoever noted a position gets what came after it', async (t) => {
  const log = new TouchLog()
  const start = log.end
  log.add(7)
  const middle = log.end
  log.add(7)
  log.add(8)
  t.equal(log.countSince(start), 3)
  t.same([...log.since(start)], [7, 7, 8])
  t.same([...log.since(middle)], [7, 8])
  t.same([...log.since(log.end)], [])
})

t.test('a log that grew too long is cut, and who lags behind is told', async (t) => {
  const log = new TouchLog()
  const start = log.end
  for (let at = 0; at < 100_000; at++) log.add(at)
  t.equal(log.countSince(start), 100_000)
  const late = log.end
  log.add(1)
  t.equal(log.countSince(start), undefined)
  t.equal(log.countSince(late), 1)
  t.same([...log.since(late)], [1])
})
