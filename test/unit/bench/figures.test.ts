import t from 'tap'
import { figures, measurement, tableRows } from '../../bench/figures.ts'

t.test('a figure is the median of its rounds, with Docker of the same words beside it', (t) => {
  const ours = [
    measurement('deploy', 1_500, [30.4, 10, 20]),
    measurement('ours only', undefined, [7]),
  ]
  const dockers = [measurement('other', 1, [1]), measurement('deploy', 9, [250, 100, 900])]
  t.strictSame(figures(ours, dockers), [
    {
      what: 'deploy',
      ms: 20,
      goalMs: 1_500,
      dockerMs: 250,
      ratio: 12.5,
      roundsMs: '10 20 30',
      dockerRoundsMs: '100 250 900',
    },
    {
      what: 'ours only',
      ms: 7,
      goalMs: undefined,
      dockerMs: undefined,
      ratio: undefined,
      roundsMs: '7',
      dockerRoundsMs: undefined,
    },
  ])
  t.end()
})

t.test('a ratio below one says that Docker is faster', (t) => {
  const [figure] = figures([measurement('ls', 150, [200])], [measurement('ls', 150, [67])])
  t.equal(figure?.ratio, 0.3)
  t.end()
})

t.test('what was not measured on our side is no figure, on theirs it stands alone', (t) => {
  const none = measurement('dense', 5_000, [])
  t.strictSame(figures([none], [measurement('dense', 5_000, [1])]), [])
  const [alone] = figures([measurement('dense', 5_000, [2])], [none])
  t.match(alone, { ms: 2, dockerMs: undefined, ratio: undefined })
  t.end()
})

t.test('a table leaves out columns that no row fills', (t) => {
  const rows = [
    { what: 'a', dockerMs: undefined, goalMs: 1 },
    { what: 'b', dockerMs: undefined, goalMs: undefined },
  ]
  t.strictSame(tableRows(rows), [
    { what: 'a', goalMs: 1 },
    { what: 'b', goalMs: '' },
  ])
  t.end()
})
