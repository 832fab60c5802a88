import t from 'tap'
import type { CommandResult } from '../../../../proto/lib/command.ts'
import { type Logger, silentLogger } from '../../../../proto/lib/log.ts'
import { sizeConntrack, wishedConntrack } from '../../../../worker/network/conntrack-size.ts'

const gibibyte = 2 ** 30

t.test(
  'a host gets a million connections, a small one what a 16th of its memory holds',
  async (t) => {
    const now = { max: 65_536, buckets: 65_536 }
    t.same(wishedConntrack(32 * gibibyte, now), { max: 1_048_576, buckets: 262_144 })
    t.same(wishedConntrack(gibibyte, now), { max: 167_772, buckets: 65_536 })
  },
)

t.test('what is larger already stays', async (t) => {
  const now = { max: 2_000_000, buckets: 1_000 }
  t.same(wishedConntrack(32 * gibibyte, now), now)
  t.same(wishedConntrack(gibibyte / 8, { max: 65_536, buckets: 16_384 }), {
    max: 65_536,
    buckets: 16_384,
  })
})

interface Told {
  readonly level: string
  readonly fields: object
}

async function sized(answers: readonly Partial<CommandResult>[]): Promise<{
  readonly told: readonly Told[]
  readonly written: readonly string[]
}> {
  const told: Told[] = []
  const note = (level: string) => (fields: object) => {
    told.push({ level, fields })
  }
  const log: Logger = { ...silentLogger, info: note('info'), warn: note('warn') }
  const written: string[] = []
  const left = [...answers]
  const kernel = {
    run: async (_: string, argv: readonly string[]): Promise<CommandResult> => {
      if (argv[0] === 'sh') written.push(argv[2] ?? '')
      return { code: 0, stdout: '', stderr: '', ...left.shift() }
    },
  }
  await sizeConntrack(kernel, log, 32 * gibibyte)
  return { told, written }
}

t.test('it is raised where that is allowed', async (t) => {
  const { told, written } = await sized([{ stdout: '262144\n65536\n' }, {}])
  t.same(written, [
    'echo 262144 >/proc/sys/net/netfilter/nf_conntrack_buckets && ' +
      'echo 1048576 >/proc/sys/net/netfilter/nf_conntrack_max',
  ])
  t.match(told, [{ level: 'info', fields: { before: 262_144, max: 1_048_576 } }])
})

t.test('where it is not, or cannot be read, the log says so', async (t) => {
  const refused = { code: 2, stderr: 'Permission denied' }
  const { told } = await sized([{ stdout: '262144\n65536\n' }, refused])
  t.match(told, [{ level: 'warn', fields: { max: 262_144, remedy: /nf_conntrack_max=1048576/ } }])
  const unreadable = await sized([{ code: 1, stderr: 'No such file' }])
  t.match(unreadable.told, [{ level: 'warn', fields: { err: 'No such file' } }])
  t.same(unreadable.written, [])
})

t.test('nothing is said or written where it is large enough', async (t) => {
  t.same(await sized([{ stdout: '2000000\n65536\n' }]), { told: [], written: [] })
})
