// Completion of values behind `=`, and the scripts in the shells that are installed, with a program that answers as ours does.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { completionScripts } from '../../../cli/completion-scripts.ts'
import { volumeFilter } from '../../../cli/volume-filter.ts'
import {
  networkFilter,
  nodeFilter,
  payloadFilter,
  serviceFilter,
  taskFilter,
} from '../../../manager/controlapi/filters.ts'
import { eventFilter } from '../../../manager/events/event-filters.ts'
import type { ReadTx } from '../../../manager/store/store.ts'
import type { Filter } from '../../../proto/gen/tsswarm/v1/control.ts'
import { runCommandLine } from '../../support/cli.ts'

async function words(...typed: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await runCommandLine(['__complete', '--', ...typed])
  return stdout.split('\n').flatMap((line) => line.split('\t')[0] || [])
}

t.test('a value behind = is completed, and the word stays whole', async (t) => {
  t.same(await words('daemon', '--log-level=de'), ['--log-level=debug'])
  t.same(await words('daemon', '--log-level', 'de'), ['debug'])
  t.same(await words('swarm', 'init', '--availability='), [
    '--availability=active',
    '--availability=pause',
    '--availability=drain',
  ])
  t.same(await words('network', 'create', '--driver', ''), ['overlay', 'bridge'])
  t.same(await words('daemon', '--nonsense=x'), [])
})

t.test('words that flags of services know are offered', async (t) => {
  const create = (...typed: readonly string[]) => words('service', 'create', ...typed)
  t.same(await create('--log-driver', 'j'), ['json-file', 'journald'])
  t.same(await create('--cap-add', 'NET_A'), ['NET_ADMIN'])
  t.same(await create('--ulimit', 'nof'), ['nofile='])
  t.same(await create('--stop-signal', 'SIGT'), [
    ...['SIGTRAP', 'SIGTERM', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'],
  ])
  t.same(await create('--security-opt', 'no'), ['no-new-privileges'])
  t.same(await words('service', 'update', '--ulimit-rm', 'nof'), ['nofile'])
})

t.test('filters that are offered are those that are understood', async (t) => {
  const tx = { get: () => undefined, find: () => [], all: () => [] } as unknown as ReadTx
  const understood: readonly (readonly [string, (filter: Filter) => unknown])[] = [
    ['service ls', (filter) => serviceFilter([filter])],
    ['stack services', (filter) => serviceFilter([filter])],
    ['node ls', (filter) => nodeFilter([filter])],
    ['network ls', (filter) => networkFilter([filter], () => false)],
    ['secret ls', (filter) => payloadFilter('secrets', [filter])],
    ['config ls', (filter) => payloadFilter('configs', [filter])],
    ['service ps', (filter) => taskFilter(tx, [filter])],
    ['node ps', (filter) => taskFilter(tx, [filter])],
    ['stack ps', (filter) => taskFilter(tx, [filter])],
    ['events', (filter) => eventFilter([filter])],
    ['volume ls', (filter) => volumeFilter([filter])],
  ]
  for (const [command, reads] of understood) {
    const offered = await words(...command.split(' '), '--filter', '')
    t.ok(offered.length >= 4, command)
    for (const word of offered) {
      const [key = '', value = ''] = word.split('=')
      t.doesNotThrow(() => reads({ key, values: [value || 'x'] }), `${command} ${word}`)
    }
  }
})

/** A program in PATH that answers the words it is asked about, in a line of its own. */
function programFor(t: Test, script: string): Record<string, string> {
  const folder = t.testdir({})
  const program = join(folder, 'tsswarm')
  writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` }
}

function bash(t: Test, line: string, parts: readonly string[], answer: string): readonly string[] {
  const env = programFor(t, `shift 2; printf '<%s>' "$@" >&2; printf %b '${answer}'`)
  const quoted = parts.map((part) => `'${part}'`).join(' ')
  const script = `${(completionScripts['bash'] ?? '').replace('2>/dev/null)', '2>&2)')}
    COMP_LINE='${line}' COMP_POINT=${line.length} COMP_CWORD=${parts.length - 1}
    COMP_WORDS=(${quoted}); _tsswarm; printf ' %s' "\${COMPREPLY[@]}"`
  const run = spawnSync('bash', ['--norc', '-c', script], { env, encoding: 'utf8' })
  return [run.stderr.trim(), run.stdout.trim()]
}

t.test(
  'bash: words it parts at = and : are whole again, and only their end is offered',
  async (t) => {
    t.same(
      bash(t, 'tsswarm service l', ['tsswarm', 'service', 'l'], 'ls\\tList\\nlogs\\tShow\\n'),
      ['<service><l>', 'ls logs'],
    )
    t.same(bash(t, 'tsswarm a --b=c', ['tsswarm', 'a', '--b', '=', 'c'], '--b=cd\\t\\n'), [
      '<a><--b=c>',
      'cd',
    ])
    t.same(bash(t, 'tsswarm a --b=', ['tsswarm', 'a', '--b', '='], '--b=cd\\t\\n'), [
      '<a><--b=>',
      'cd',
    ])
    t.same(bash(t, 'tsswarm a img:1', ['tsswarm', 'a', 'img', ':', '1'], 'img:12\\t\\n'), [
      '<a><img:1>',
      '12',
    ])
    t.same(bash(t, 'tsswarm a X= ', ['tsswarm', 'a', 'X', '=', ''], 'web\\timage\\n'), [
      '<a><X=><>',
      'web',
    ])
  },
)

t.test('bash: what a value or a path follows gets no space', async (t) => {
  const env = (answer: string) => programFor(t, `printf '${answer}'`)
  const spaced = (answer: string): string => {
    const script = `${completionScripts['bash']}
      compopt() { printf '%s;' "$*"; }
      COMP_LINE='tsswarm cp w' COMP_POINT=12 COMP_CWORD=2 COMP_WORDS=(tsswarm cp w)
      _tsswarm; printf %s "\${COMPREPLY[*]}"`
    return spawnSync('bash', ['--norc', '-c', script], { env: env(answer), encoding: 'utf8' })
      .stdout
  }
  t.equal(spaced('web.1:\\t\\n'), '-o nospace;web.1:')
  t.equal(spaced('web.1\\t\\n'), 'web.1')
  t.equal(spaced(''), '-o default;')
})

const isThere = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0

t.test(
  'fish: offers what the program answers',
  { skip: !isThere('fish') && 'no fish' },
  async (t) => {
    const env = { ...programFor(t, `printf 'web\\tan image\\nweb2\\t\\n'`), HOME: t.testdirName }
    const script = `${completionScripts['fish']}\ncomplete -C 'tsswarm service rm we'`
    const run = spawnSync('fish', ['--no-config', '-c', script], { env, encoding: 'utf8' })
    t.equal(run.stdout, 'web\tan image\nweb2\n')
  },
)

t.test('zsh: the script is understood', { skip: !isThere('zsh') && 'no zsh' }, async (t) => {
  const run = spawnSync('zsh', ['-n'], { input: completionScripts['zsh'], encoding: 'utf8' })
  t.same([run.status, run.stderr], [0, ''])
})
