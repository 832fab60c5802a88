import t from 'tap'
import { leastOfEach, type Seen, trendOf } from '../../soak/slope.ts'

const everyMinute = (value: (minute: number) => number): readonly Seen[] =>
  Array.from({ length: 60 }, (_, minute) => ({ atMs: minute * 60_000, value: value(minute) }))

t.test('a line has its slope', (t) => {
  const { first, last, greatest, perHour } = trendOf(everyMinute((minute) => 10 + minute))
  t.same([first, last, greatest], [10, 69, 69])
  t.ok(Math.abs(perHour - 60) < 1e-6)
  t.end()
})

t.test('one point has none, nor has nothing', (t) => {
  t.equal(trendOf([{ atMs: 5, value: 7 }]).perHour, 0)
  t.same(trendOf([]), { first: 0, last: 0, greatest: 0, perHour: 0 })
  t.end()
})

t.test('of each stretch the least is kept, with its time', (t) => {
  const seen = [9, 4, 6, 8, 7, 5].map((value, at) => ({ atMs: 100 + at * 10, value }))
  t.same(leastOfEach(seen, 30), [
    { atMs: 110, value: 4 },
    { atMs: 150, value: 5 },
  ])
  t.same(leastOfEach([], 30), [])
  t.end()
})

t.test('what rises and falls does not grow, what rises a little each time does', (t) => {
  const saw = (each: number) => everyMinute((minute) => (minute % 6) * 10 + minute * each)
  const perHour = (each: number) => trendOf(leastOfEach(saw(each), 6 * 60_000)).perHour
  t.equal(perHour(0), 0)
  t.ok(Math.abs(perHour(1) - 60) < 1e-6)
  t.end()
})
