import t from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { type Coprocess, createCoprocess } from '../../../../worker/network/coprocess.ts'

/** A shell that complains about marks, as ip and nft do. */
function aShell(script = '', timeoutMs = 5_000): Coprocess {
  const loop = `${script} while read -r line; do case $line in mark*) echo "unknown $line" >&2;; *) eval "$line";; esac; done`
  return createCoprocess({
    argv: ['sh', '-c', loop],
    clock: systemClock,
    markLine: (mark) => `mark ${mark}`,
    markPattern: (mark) => new RegExp(`unknown mark (${mark})\\n`),
    timeoutMs,
  })
}

t.test('each request gets what was said about it, in order', async (t) => {
  const shell = aShell()
  const answers = await Promise.all([
    shell.request(['echo one >&2', 'echo two >&2']),
    shell.request([]),
    shell.request(['echo three >&2']),
  ])
  t.same(
    answers.map(({ said }) => said),
    ['one\ntwo\n', '', 'three\n'],
  )
  t.equal(answers[0]?.mark[1], 'tsswarm-mark-1')
  shell.close()
})

t.test('a program that ends fails its request, and the next one has a new program', async (t) => {
  const shell = aShell()
  const [ended, after] = await Promise.allSettled([
    shell.request(['echo last words >&2; exit 3']),
    shell.request(['echo fresh >&2']),
  ])
  t.match(ended, {
    status: 'rejected',
    reason: { code: 'UNAVAILABLE', message: /exit code 3.*last words/s },
  })
  t.match(after, { status: 'fulfilled', value: { said: 'fresh\n' } })
  shell.close()
})

t.test('a program that has served long enough is replaced', async (t) => {
  const shell = aShell()
  const pidOf = async (): Promise<string> => (await shell.request(['echo $$ >&2'])).said
  const first = await pidOf()
  t.equal(await pidOf(), first)
  await Promise.all(Array.from({ length: 4_998 }, () => shell.request([])))
  t.not(await pidOf(), first)
  shell.close()
})

t.test('a program that does not answer is killed', async (t) => {
  const shell = aShell('', 100)
  await t.rejects(shell.request(['exec sleep 60']), {
    code: 'UNAVAILABLE',
    message: /no answer within 100 ms/,
  })
  t.equal((await shell.request(['echo again >&2'])).said, 'again\n')
  shell.close()
})

t.test('a program that cannot be started is an error', async (t) => {
  const nothing = createCoprocess({
    argv: ['/no/such/program'],
    clock: systemClock,
    markLine: (mark) => mark,
    markPattern: (mark) => new RegExp(mark),
  })
  await t.rejects(nothing.request(['x']), { code: 'UNAVAILABLE', message: /no\/such\/program/ })
})

t.test('a line break in a line breaks an invariant', async (t) => {
  const shell = aShell()
  t.throws(() => shell.request(['a\nb']), { name: 'InvariantError' })
  shell.close()
})
