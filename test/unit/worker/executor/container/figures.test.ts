// What the kernel tells of a container, read right: processes, traffic, block devices; and the process that exec makes.
import t from 'tap'
import type { ExecOpen } from '../../../../../proto/gen/tsswarm/v1/streams.ts'
import { blockIoV1, blockIoV2 } from '../../../../../worker/executor/container/cgroups.ts'
import { failureCode } from '../../../../../worker/executor/container/exec-program.ts'
import { execProcess } from '../../../../../worker/executor/container/exec-spec.ts'
import { parseProcess } from '../../../../../worker/executor/container/process-table.ts'
import { parseTraffic } from '../../../../../worker/executor/container/usage.ts'

t.test('a process of /proc, whatever its name is', async (t) => {
  const numbers = [
    '7',
    '812',
    '812',
    '34818',
    '812',
    '0',
    '1',
    '2',
    '3',
    '4',
    '150',
    '50',
    '0',
    '0',
  ]
  const more = ['20', '0', '1', '0', '12345', '4096000', '25', '18446744073709551615']
  const stat = `812 (odd ) name) S ${[...numbers, ...more].join(' ')}\n`
  const status = 'Name:\todd\nUid:\t0\t1000\t0\t0\n'
  const found = parseProcess(812, { stat, status, cmdline: 'nginx\0-g\0daemon off;\0' }, 1_000)
  t.same(found, {
    ...{ pid: 812, ppid: 7, user: '1000', cpuMs: 2_000, startedAtMs: 124_450, tty: 'pts/2' },
    ...{ memoryBytes: 25 * 4_096, command: 'nginx -g daemon off;', state: 'S' },
    ...{ name: 'odd ) name', virtualBytes: 4_096_000 },
  })
  t.match(parseProcess(812, { stat, status, cmdline: '' }, 0), {
    command: '[odd ) name]',
    name: 'odd ) name',
  })
  t.equal(parseProcess(812, { stat: '', status, cmdline: '' }, 0), undefined, 'it has ended')
})

t.test('traffic of all interfaces but the loopback', async (t) => {
  const text = [
    'Inter-|   Receive                      |  Transmit',
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes packets',
    '    lo:     999      9    0    0    0     0          0         0      999   9',
    '  eth0: 1000 5 0 0 0 0 0 0 200 4 0 0 0 0 0 0',
    '  eth1:7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0',
  ].join('\n')
  t.same(parseTraffic(text), { receivedBytes: 1_007, sentBytes: 208 })
  t.same(parseTraffic(''), { receivedBytes: 0, sentBytes: 0 })
})

t.test('block devices, by both versions of control groups', async (t) => {
  const v1 = '8:0 Read 4096\n8:0 Write 10\n8:16 Read 1\n8:0 Total 4106\nTotal 4107\n'
  t.same(blockIoV1(v1), { readBytes: 4_097, writtenBytes: 10 })
  const v2 = '8:0 rbytes=4096 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=0\n'
  t.same(blockIoV2(v2), { readBytes: 4_097, writtenBytes: 10 })
  t.same(blockIoV2(''), { readBytes: 0, writtenBytes: 0 })
})

const wish: ExecOpen = {
  ...{ argv: ['sh'], env: [], workdir: '', user: '', size: undefined },
  ...{ tty: false, interactive: false, detach: false },
}
const base = {
  ...{ env: ['PATH=/bin', 'A=old', 'HOME=/root'], cwd: '/srv', user: { uid: 0 } },
  capabilities: { bounding: ['CAP_KILL'], effective: ['CAP_KILL'] },
  noNewPrivileges: true,
}

t.test('exec is as the container, but for what is asked otherwise', async (t) => {
  const plain = execProcess(base, { ...wish, env: ['A=new', 'B'] }, undefined)
  t.match(plain, { args: ['sh'], cwd: '/srv', noNewPrivileges: true, terminal: false })
  t.match(plain, { env: ['PATH=/bin', 'HOME=/root', 'A=new'], capabilities: base.capabilities })
  const size = { rows: 3, columns: 4 }
  const tty = execProcess(base, { ...wish, tty: true, size, workdir: '/tmp' }, undefined)
  t.match(tty, { terminal: true, cwd: '/tmp', consoleSize: { height: 3, width: 4 } })
  t.match(tty, { env: [/^/, /^/, /^/, 'TERM=xterm'] })
  const app = { uid: 5, gid: 6, additionalGids: [6], home: '/home/app' }
  const background = execProcess(base, { ...wish, tty: true, detach: true }, undefined)
  t.match(background, { terminal: false }, 'in the background nobody looks at a terminal')
  const other = execProcess(base, wish, app)
  t.match(other, { user: { uid: 5, gid: 6 }, env: ['PATH=/bin', 'A=old', 'HOME=/home/app'] })
  t.same((other as { capabilities: unknown }).capabilities, { bounding: ['CAP_KILL'] })
  const root = execProcess(base, wish, { ...app, uid: 0 })
  t.match(root, { capabilities: { effective: ['CAP_KILL'], permitted: ['CAP_KILL'] } })
  const refused = { code: 'INVALID_ARGUMENT' }
  t.throws(() => execProcess(base, { ...wish, argv: [] }, undefined), refused)
  t.throws(() => execProcess(base, { ...wish, workdir: 'tmp' }, undefined), refused)
})

t.test('not found is 127, not to be run is 126, as docker has it', async (t) => {
  t.equal(failureCode('executable file `x` not found in $PATH: No such file or directory'), 127)
  t.equal(failureCode('open executable: Permission denied'), 126)
})
