// The README's example is the file that runs here.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { member, propose } from './support/example.ts'

t.test('the example is quoted word for word', async (t) => {
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
  const example = /\/\/ begin\n([\s\S]*)\/\/ end/.exec(read('../test/support/example.ts'))?.[1]
  t.ok(example !== undefined && read('../README.md').includes(`\`\`\`ts\n${example}\`\`\``))
})

t.test('the example elects a leader and commits', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'raft-ts-example-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const drivers = await Promise.all(['a', 'b', 'c'].map((id) => member(id, join(directory, id))))
  let index: number | undefined
  const deadlineMs = performance.now() + 30_000
  while (index === undefined && performance.now() < deadlineMs) {
    const leader = drivers.find((driver) => driver.leadership.role === 'leader')
    if (leader === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
    else index = await propose(leader, 'hello')
  }
  t.ok((index ?? 0) > 1)
  await Promise.all(
    drivers.map((driver) => new Promise<void>((resolve) => driver.stop(() => resolve()))),
  )
})
