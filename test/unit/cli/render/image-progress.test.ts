// Bars fit into the terminal, and what is to be copied from it is there in full.
import t from 'tap'
import { followImageProgress } from '../../../../cli/render/image-progress.ts'
import type { ImageProgress } from '../../../../proto/gen/tsswarm/v1/daemon.ts'
import { MemoryOutput } from '../../../support/cli.ts'

const step = (over: Partial<ImageProgress>): ImageProgress => ({
  ...{ step: 'pushing', subject: 'r.lan:5000/team/web:1', doneBytes: 0, totalBytes: 0 },
  image: undefined,
  ...over,
})

async function shown(columns: number, steps: readonly ImageProgress[]): Promise<readonly string[]> {
  const output = new MemoryOutput(true, columns)
  const all = (async function* () {
    yield* steps
  })()
  await followImageProgress(output, all, false)
  // Without the movements of the cursor.
  const control = String.fromCharCode(27)
  return output.text
    .replaceAll(new RegExp(`\\r|${control}\\[[0-9]*[AK]`, 'g'), '')
    .split('\n')
    .filter((line) => line !== '')
}

const half = step({ doneBytes: 15_000_000, totalBytes: 30_000_000 })

t.test('the bar is as long as there is room for, and the figures stay', async (t) => {
  const bar = (columns: number) => shown(columns, [half])
  t.same(await bar(120), [
    'r.lan:5000/team/web:1: pushing [====================>                    ] 15MB/30MB',
  ])
  t.same(await bar(70), ['r.lan:5000/team/web:1: pushing [============>           ] 15MB/30MB'])
  t.same(await bar(50), ['r.lan:5000/team/web:1: pushing 15MB/30MB'])
  t.same(await bar(30), ['r.lan:5000/team/we… 15MB/30MB'])
  for (const columns of [21, 30, 50, 55, 56, 57, 70, 80, 120]) {
    for (const line of await bar(columns)) {
      t.ok(line.length < columns, `${columns}: ${line}`)
      t.match(line, /15MB\/30MB$/)
    }
  }
})

t.test('the digest of a push is whole, below what was drawn', async (t) => {
  const result = `digest: sha256:${'ab'.repeat(32)} size: 427`
  const lines = await shown(60, [half, step({ subject: '1', step: result }), half])
  t.equal(lines.at(-1), `1: ${result}`)
  t.equal(lines.filter((line) => line.includes('digest')).length, 1)
})

t.test('of many tags the first stay above, so that what is drawn fits a terminal', async (t) => {
  const tags = Array.from({ length: 50 }, (_, at) => `r.lan/app:${at}`)
  const output = new MemoryOutput(true, 80)
  const all = (async function* () {
    for (const subject of tags) {
      for (const word of ['resolving', 'downloading', 'done']) yield step({ subject, step: word })
    }
    for (const subject of tags) yield step({ subject, step: 'done' })
    yield step({ subject: '1', step: 'digest: sha256:ab' })
    throw new Error('a tag failed')
  })()
  await t.rejects(followImageProgress(output, all, false), { message: 'a tag failed' })
  const control = String.fromCharCode(27)
  const moves = [...output.text.matchAll(new RegExp(`${control}\\[([0-9]+)A`, 'g'))]
  t.ok(moves.length > 100)
  t.equal(Math.max(...moves.map(([, up]) => Number(up))), 8)
  t.match(output.text, /1: digest: sha256:ab\n$/, 'results are told also of what failed')
  // As a terminal shows it.
  const screen: string[] = []
  let at = 0
  for (const piece of output.text.split(new RegExp(`(${control}\\[[0-9]+A|\\n)`))) {
    if (piece.endsWith('A')) at -= Number(piece.slice(2, -1))
    else if (piece === '\n') at += 1
    else if (piece !== '') screen[at] = piece.replace(`\r${control}[2K`, '')
  }
  t.same(
    screen.filter((line) => line !== ''),
    [...tags.map((tag) => `${tag}: done`), '1: digest: sha256:ab'],
  )
})
