// The rules of imports (.ci/imports.mjs) and of purity (biome.json, purity.grit): what they refuse and let pass.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

interface Folder {
  [name: string]: string | Folder
}

/** One file with one text in otherwise empty folders, as t.testdir takes it. */
function onlyFile(path: string, text: string): Folder {
  const [name = '', ...rest] = path.split('/')
  return { [name]: rest.length === 0 ? text : onlyFile(rest.join('/'), text) }
}

function checkImports(folder: string) {
  const run = spawnSync(process.execPath, [`${root}.ci/imports.mjs`, folder], { encoding: 'utf8' })
  return { code: run.status, text: run.stderr }
}

const refused: readonly (readonly [path: string, text: string])[] = [
  ['raft-ts/src/core/quorum.ts', "import { Log } from '../storage/log.ts'"],
  ['raft-ts/src/core/quorum.ts', "import { createHash } from 'node:crypto'"],
  ['raft-ts/src/driver/driver.ts', "import { SwarmError } from '../../../proto/errors.ts'"],
  ['raft-ts/src/storage/log.ts', "import pino from 'pino'"],
  ['proto/lib/clock.ts', "import { x } from '../objects/index.ts'"],
  ['proto/lib/clock.ts', "import { x } from '../errors.ts'"],
  ['proto/docker/json.ts', "import { x } from '../../manager/manager.ts'"],
  ['proto/spec/text.ts', "import { x } from 'node:fs'"],
  ['scheduler/rank.ts', "import { wait } from '../proto/lib/clock.ts'"],
  ['scheduler/rank.ts', "import fs from 'fs'"],
  ['scheduler/rank.ts', "export const load = () => import('node:fs')"],
  ['scheduler/rank.ts', 'export async function rank() {}'],
  ['scheduler/filters/a.ts', 'export const rank = async () => 1'],
  ['manager/orchestrator/new-task.ts', "import { D } from '../dispatcher/dispatcher.ts'"],
  ['manager/orchestrator/new-task.ts', "import { log } from '../../proto/lib/log.ts'"],
  ['manager/store/store.ts', "export * from '../raft/raft-host.ts'"],
  ['manager/loops/a.ts', "import type { A } from '../../worker/agent.ts'"],
  ['worker/agent.ts', "import { RaftNode } from '../raft-ts/src/index.ts'"],
  ['worker/agent.ts', "import 'raft-ts'"],
  ['worker/assignments.ts', "import { readFileSync } from 'node:fs'"],
  ['worker/assignments.ts', "import { x } from './agent.ts'"],
  ['cli/commands/node-ls.ts', "import { D } from '../daemon/daemon.ts'"],
  ['cli/commands/node-ls.ts', "import {\n  A,\n  B,\n} from '../../manager/manager.ts'"],
  ['cli/lab/lab.ts', "import { M } from '../../manager/manager.ts'"],
  ['cli/host/probes.ts', "import { M } from '../../manager/manager.ts'"],
  ['cli/host/probes.ts', "import { A } from '../../worker/network/apply.ts'"],
  ['cli/service/csv.ts', "import { M } from '../../manager/manager.ts'"],
  ['cli/units.ts', "import { L } from './lab/lab.ts'"],
  ['elsewhere/new.ts', 'export const a = 1'],
]

for (const [path, text] of refused) {
  t.test(`${path} is refused: ${text.replaceAll(/\s+/g, ' ')}`, async (t) => {
    const { code, text: said } = checkImports(t.testdir(onlyFile(path, text)))
    t.equal(code, 1)
    t.match(said, path)
  })
}

const allowed: readonly (readonly [path: string, text: string])[] = [
  ['raft-ts/src/core/quorum.ts', "import { assert } from './assert.ts'"],
  ['raft-ts/src/driver/driver.ts', "import { deflateSync } from 'node:zlib'"],
  ['proto/lib/clock.ts', "import { EventEmitter } from 'node:events'"],
  ['scheduler/filters/a.ts', "import { InvariantError } from '../../proto/lib/assert.ts'"],
  ['scheduler/rank.ts', "// an async import of 'node:fs'\nexport const why = 'await'"],
  ['manager/orchestrator/a.ts', "import { plan } from '../../scheduler/plan.ts'"],
  ['manager/raft/raft-host.ts', "import { RaftNode } from 'raft-ts'"],
  ['worker/assignments.ts', "import { TaskState } from '../proto/objects/index.ts'"],
  ['cli/host/a.ts', "import { n } from '../../worker/network/nft-script.ts'"],
  ['cli/commands/daemon.ts', "export const run = () => import('../daemon/daemon-main.ts')"],
]

for (const [path, text] of allowed) {
  t.test(`${path} passes: ${text.replaceAll(/\s+/g, ' ')}`, async (t) => {
    t.same(checkImports(t.testdir(onlyFile(path, text))), { code: 0, text: '' })
  })
}

t.test('the source obeys the rules of imports', async (t) => {
  t.same(checkImports(root), { code: 0, text: '' })
})

const impure = [
  'export const a = globalThis.Date.now()',
  'export const b = Date()',
  'const { now } = Date',
  'export const d = new Date()',
  'export const e = crypto.randomUUID()',
  'export const f = setInterval(() => 1, 3)',
  'export const g = setTimeout(() => 1, 3)',
  'export const h = performance.now()',
  'export const i = process.pid',
  'export const j = [Math.random].length',
  "export const k = Math['random']()",
  'const { random } = Math',
]
const pure = [
  'export const z = (env: { nowMs: number }) => Math.max(env.nowMs, 1)',
  'export { now, random }',
]

const folders = ['scheduler', 'scheduler/filters', 'manager/orchestrator', 'raft-ts/src/core']
const pureFiles = [
  ...folders.map((folder) => `${folder}/snippet.ts`),
  'worker/assignments.ts',
  'worker/task-step.ts',
]

t.test('Biome refuses each impure line in pure code, and lets pure lines pass', async (t) => {
  const snippet = [...impure, ...pure].join('\n')
  const found = lint(t.testdir(), [...pureFiles, 'manager/loops/snippet.ts'], snippet)
  const wanted = pureFiles.flatMap((path) => impure.map((_, index) => `${path}:${index + 1}`))
  t.same(found, wanted.sort())
})

/** Lints the snippet at each path of an otherwise empty folder by our rules; returns `path:line` of every error. */
function lint(folder: string, paths: readonly string[], snippet: string): readonly string[] {
  const rules = JSON.parse(readFileSync(`${root}biome.json`, 'utf8'))
  const config = { ...rules, $schema: undefined, vcs: { enabled: false }, files: undefined }
  writeFileSync(join(folder, 'biome.json'), JSON.stringify(config))
  copyFileSync(`${root}purity.grit`, join(folder, 'purity.grit'))
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), snippet)
  }
  const biome = `${root}node_modules/@biomejs/biome/bin/biome`
  const args = [biome, 'lint', '--reporter=github', '--max-diagnostics=none']
  const run = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  const errors = run.stdout.matchAll(/^::error .*?file=(.+?),line=(\d+)/gm)
  const places = [...errors].map(
    ([, file = '', line]) => `${relative(folder, resolve(folder, file))}:${line}`,
  )
  return [...new Set(places)].sort()
}
