// A container whose output is for the journal is refused where there is none, and nobody else.
import t from 'tap'
import { checkJournal as checkHost } from '../../../../../cli/host/check-journal.ts'
import { systemProbes } from '../../../../../cli/host/probes.ts'
import {
  checkJournal,
  journalSocket,
} from '../../../../../worker/executor/container/host-journal.ts'

t.test('refused where there is none', async (t) => {
  const none = (): boolean => false
  t.throws(() => checkJournal('web.1', { kind: 'files', journal: true }, none), {
    code: 'UNSUPPORTED',
    message: /^web\.1 has the log driver journald, and this host has no journal/,
  })
  checkJournal('web.1', { kind: 'files' }, none)
  checkJournal('web.1', { kind: 'none' }, none)
  checkJournal('web.1', undefined, none)
  checkJournal('web.1', { kind: 'files', journal: true }, (path) => path === journalSocket)
})

t.test('doctor tells', async (t) => {
  const on = (text: string | undefined) => checkHost({ ...systemProbes(), read: async () => text })
  t.match(await on(`0000: 1 ${journalSocket}\n`), {
    ok: true,
    found: 'systemd-journald',
    remedy: '',
  })
  t.match(await on('0000: 1 /run/dbus\n'), { ok: true, found: /rejected here/, remedy: /systemd/ })
  t.match(await on(undefined), { ok: true, remedy: '' })
})
