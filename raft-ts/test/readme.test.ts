// What the README says is there: its links, and every error a member can end with. Its programs are run by package.test.ts.
import { existsSync, readFileSync } from 'node:fs'
import * as raft from 'raft-ts'
import t from 'tap'

const folder = new URL('../', import.meta.url)
const readme = readFileSync(new URL('README.md', folder), 'utf8')

t.test('every link leads to a file of the package', async (t) => {
  const links = [...readme.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, link]) => link as string)
  t.ok(links.length > 0)
  const local = links.filter((link) => !/^https?:/.test(link))
  t.same(
    local.filter((link) => !existsSync(new URL(link, folder))),
    [],
  )
})

t.test('every error of the main entry is told with what to do about it', async (t) => {
  const section = readme.split(/^## /m).find((text) => text.startsWith('When something fails'))
  const errors = Object.entries(raft).flatMap(([name, value]) =>
    typeof value === 'function' && value.prototype instanceof Error ? [name] : [],
  )
  t.ok(errors.length >= 6)
  t.same(
    errors.filter((name) => !section?.includes(`\`${name}\``)),
    [],
  )
})
