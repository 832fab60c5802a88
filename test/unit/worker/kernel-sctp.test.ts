import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { RunCommand } from '../../../proto/lib/command.ts'
import { hasSctp, requireSctp } from '../../../worker/kernel-sctp.ts'

// As /proc/net/protocols lists them.
const without = 'protocol  size sockets  memory\nUDP       1280      1       2\nTCP  2368 4 0\n'
const listed = `${without}SCTP      1912      0       0\n`

t.test('a kernel that has SCTP lists it, at once or when its module is loaded', async (t) => {
  const file = join(t.testdir({ protocols: listed }), 'protocols')
  const asked: string[] = []
  const load =
    (text: string): RunCommand =>
    async (argv) => {
      asked.push(argv.join(' '))
      writeFileSync(file, text)
      return { code: 0, stdout: '', stderr: '' }
    }
  t.ok(await hasSctp(load(without), file))
  t.strictSame(asked, [], 'nothing is loaded that is there')
  writeFileSync(file, without)
  t.notOk(await hasSctp(load(without), file))
  t.ok(await hasSctp(load(listed), file))
  t.strictSame(asked, ['modprobe -q sctp', 'modprobe -q sctp'])
})

t.test('a kernel that cannot be asked has none', async (t) => {
  const fails: RunCommand = async () => {
    throw new Error('no modprobe')
  }
  t.notOk(await hasSctp(fails, join(t.testdir({}), 'protocols')))
})

t.test('ports of SCTP are refused without it, by their number', async (t) => {
  const ports = [
    { protocol: 'tcp', targetPort: 80 },
    { protocol: 'sctp', targetPort: 9 },
  ] as const
  await t.rejects(
    requireSctp(ports, async () => false),
    { code: 'UNSUPPORTED', message: /port 9\/sctp .* its kernel has no SCTP/ },
  )
  await requireSctp(ports, async () => true)
  const never = async (): Promise<boolean> => t.fail('nobody asks')
  await requireSctp(ports.slice(0, 1), never)
})
