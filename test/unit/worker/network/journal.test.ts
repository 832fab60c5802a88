import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openJournal } from '../../../../worker/network/journal.ts'
import type { RecordEvent } from '../../../../worker/network/network-record.ts'
import { anEndpoint, aPort } from '../../../support/network-builders.ts'

const opened: RecordEvent = {
  kind: 'opened',
  bootId: 'boot-1',
  subnet: '172.30.0.0/16',
  transit: '100.127.255.254',
  mac: '02:00:00:00:00:ff',
}

const lines = (file: string): number => readFileSync(file, 'utf8').split('\n').length - 1

t.test('a journal that is opened again knows what was appended', async (t) => {
  const file = join(t.testdir(), 'sub/journal.jsonl')
  const journal = openJournal(file)
  t.equal(journal.record, undefined)
  journal.append(opened)
  journal.append({ kind: 'attached', endpoint: anEndpoint({ ports: [aPort()] }) })
  journal.append({ kind: 'forwarding-ours' })
  const again = openJournal(file)
  t.same(JSON.parse(JSON.stringify(again.record)), JSON.parse(JSON.stringify(journal.record)))
  t.equal(again.record?.endpoints[0]?.ports[0]?.bindAddress, undefined)
})

t.test(
  'a line cut short by a crash is dropped, and the next append repairs the file',
  async (t) => {
    for (const rest of ['{"kind":"detached","contai', '{broken}\n']) {
      const file = join(t.testdir(), `journal-${rest.length}.jsonl`)
      const journal = openJournal(file)
      journal.append(opened)
      journal.append({ kind: 'attached', endpoint: anEndpoint() })
      appendFileSync(file, rest)
      const second = openJournal(file)
      t.equal(second.record?.endpoints.length, 1)
      second.append({ kind: 'forwarding-ours' })
      const third = openJournal(file)
      t.equal(third.record?.endpoints.length, 1)
      t.equal(third.record?.forwardingIsOurs, true)
    }
  },
)

t.test('the file stays in proportion to what lives', async (t) => {
  const file = join(t.testdir(), 'journal.jsonl')
  const journal = openJournal(file)
  journal.append(opened)
  for (let i = 0; i < 3_000; i++) {
    const address = `172.30.${Math.floor((i + 1) / 256)}.${(i + 1) % 256}`
    journal.append({ kind: 'attached', endpoint: anEndpoint({ address }) })
    journal.append({ kind: 'detached', containerId: 'c1' })
  }
  t.ok(lines(file) < 1_100, `${lines(file)} lines`)
  t.same(openJournal(file).record, journal.record)
})

t.test('an empty file is a new journal', async (t) => {
  const file = join(t.testdir({ 'journal.jsonl': '' }), 'journal.jsonl')
  writeFileSync(file, '')
  t.equal(openJournal(file).record, undefined)
})
