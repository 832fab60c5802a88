import t from 'tap'
import { loadFigure } from '../../bench/update.ts'

const load = { way: 'published port', failure: undefined }

t.test('a load is told with what was lost, and why', (t) => {
  const lost = { ECONNREFUSED: 2, 'status 500': 1 }
  t.strictSame(loadFigure('docker', 'stop-first', load, { sent: 40, lost }), {
    side: 'docker',
    update: 'stop-first',
    way: 'published port',
    sent: 40,
    lost: 3,
    note: '2 ECONNREFUSED, 1 status 500',
  })
  t.match(loadFigure('tsswarm', 'stop-first', load, { sent: 9, lost: {} }), { lost: 0, note: '' })
  t.end()
})

t.test('a load that gets no answers at all is not told as lost', (t) => {
  const figure = loadFigure('docker', 'start-first', { ...load, failure: 'ECONNRESET' }, undefined)
  t.match(figure, { sent: 0, lost: undefined, note: 'no answer: ECONNRESET' })
  t.end()
})
