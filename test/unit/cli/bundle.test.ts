// The program as it is shipped: what only its start line and the bundle can get wrong.
import { spawnSync } from 'node:child_process'
import t from 'tap'

t.test('Node takes none of the program’s flags for its own', async (t) => {
  const run = spawnSync(
    'dist/tsswarm.js',
    ['service', 'create', '--env-file', '/nowhere/env', 'image'],
    { encoding: 'utf8', timeout: 30_000 },
  )
  t.equal(run.status, 125)
  t.match(run.stderr, /^invalid argument "\/nowhere\/env" for "--env-file" flag: cannot read/)
})
