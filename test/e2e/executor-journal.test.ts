// What containers write reaches the journal. The host may have none: this file runs itself in a mount namespace where a
// systemd-journald of its own writes to memory, and nothing of the host's is touched.
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import { createExecutorHost, loadImage, logLines, runToEnd } from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)

/** The host may lack all of these folders; the journal takes all that comes and reads nothing of the kernel's. */
const withJournal = `
mount -t tmpfs tmpfs /run || exit 1
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
echo 0123456789abcdef0123456789abcdef >/run/machine-id
[ -s /etc/machine-id ] || mount --bind /run/machine-id /etc/machine-id || exit 1
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitBurst=0\\n' >/run/systemd/journald.conf.d/test.conf
/lib/systemd/systemd-journald >/dev/null 2>&1 &
journal=$!
until [ -S /run/systemd/journal/socket ]; do kill -0 $journal || exit 1; sleep 0.05; done
"$@"
code=$?
kill $journal
wait $journal
exit $code`

interface Entry {
  readonly MESSAGE: string
  readonly CONTAINER_NAME: string
  readonly PRIORITY: string
}

async function journalOf(id: string): Promise<readonly Entry[]> {
  const argv = ['journalctl', '--all', '-o', 'json', '--no-pager', '-q', `CONTAINER_ID_FULL=${id}`]
  const { stdout } = await runCommand(argv)
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Entry => JSON.parse(line))
}

if (process.env['TSSWARM_TEST_JOURNAL'] === 'own') {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage())
  const journal = { kind: 'files', journal: true } as const

  await t.test('line by line, with name and stream; logs read it too', async (t) => {
    const script = 'echo one; echo odd >&2; printf "%05000d" 7; echo; printf last'
    await runToEnd(executor, aScript('told-in-journal', script, { log: journal }))
    const streams = ['stdout'] as const
    const lines = await logLines(executor, 'told-in-journal', { streams })
    t.match(lines, ['one', /^0{4999}7$/, 'last'])
    const entries = async (priority: string): Promise<readonly Entry[]> =>
      (await journalOf('told-in-journal')).filter((one) => one.PRIORITY === priority)
    // A line of stdout and one of stderr come in either order.
    const text = async (priority: string): Promise<string> =>
      (await entries(priority)).map(({ MESSAGE }) => MESSAGE.trimEnd()).join(' ')
    const isAll = async (): Promise<boolean> =>
      (await text('6')).endsWith('last') && (await text('3')) === 'odd'
    await eventually(isAll, 'the journal has all')
    t.equal(await text('6'), `one ${'0'.repeat(4_999)}7 last`)
    t.match(await entries('3'), [{ CONTAINER_NAME: 'test.1.told-in-journal' }])
  })

  await t.test('of others it has nothing', async (t) => {
    await runToEnd(executor, aScript('quiet-as-usual', 'echo one'))
    t.same(await journalOf('quiet-as-usual'), [])
  })
} else {
  t.test('in a mount namespace with a journal of its own', async (t) => {
    const inside = ['unshare', '--mount', 'sh', '-c', withJournal, 'journal']
    const own = ['env', 'TSSWARM_TEST_JOURNAL=own', ...inside]
    const argv = [...own, process.execPath, fileURLToPath(import.meta.url)]
    const { code, stdout, stderr } = await runCommand(argv, { timeoutMs: 100_000 })
    t.equal(code, 0, `${stdout}${stderr}`)
    t.match(stdout, /^# \{ total: \d+, pass: \d+ \}|^# time/m, 'it ran')
  })
}
