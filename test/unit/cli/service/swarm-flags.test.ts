// Every flag of Swarm's service create and update is there, or says what to do instead. Source: swarm-semantics 3.1, row by row.
import t from 'tap'
import { createFlags } from '../../../../cli/service/create-spec.ts'
import { absentServiceFlag } from '../../../../cli/service/service-flags.ts'
import { updateFlags } from '../../../../cli/service/update-spec.ts'

const policy = ['parallelism', 'delay', 'monitor', 'failure-action', 'max-failure-ratio', 'order']
const health = ['cmd', 'interval', 'timeout', 'retries', 'start-period', 'start-interval']

function changed(...names: readonly string[]): readonly string[] {
  return names.flatMap((name) => [`${name}-add`, `${name}-rm`])
}

const process = [
  ...['entrypoint', 'workdir', 'user', 'hostname', 'init', 'tty', 'read-only'],
  ...['stop-signal', 'stop-grace-period', 'isolation'],
]
const resources = ['limit-cpu', 'limit-memory', 'limit-pids', 'reserve-cpu', 'reserve-memory']
const restart = ['condition', 'delay', 'max-attempts', 'window'].map((one) => `restart-${one}`)
const both = [
  ...process,
  ...['replicas', 'max-concurrent', 'replicas-max-per-node'],
  ...resources,
  'oom-score-adj',
  ...restart,
  ...policy.flatMap((one) => [`update-${one}`, `rollback-${one}`]),
  ...health.map((one) => `health-${one}`),
  ...['no-healthcheck', 'endpoint-mode', 'cap-add', 'cap-drop', 'credential-spec'],
  ...['log-driver', 'log-opt', 'detach', 'quiet', 'no-resolve-image', 'with-registry-auth'],
]

/** Row of 3.1 -> flags of create, and of update. */
const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['identity', ['name', 'label', 'container-label'], changed('label', 'container-label')],
  ['image / process', ['group'], ['image', 'args', ...changed('group')]],
  ['env', ['env', 'env-file'], changed('env')],
  ['mode', ['mode'], []],
  ['placement', ['constraint', 'placement-pref'], changed('constraint', 'placement-pref')],
  ['resources', ['generic-resource', 'ulimit'], changed('generic-resource', 'ulimit')],
  ['rollback, force', [], ['rollback', 'force']],
  ['data', ['mount', 'secret', 'config'], changed('mount', 'secret', 'config')],
  [
    'net',
    ['network', 'publish', 'dns', 'dns-option', 'dns-search', 'host'],
    changed('network', 'publish', 'dns', 'dns-option', 'dns-search', 'host'),
  ],
  ['security', ['sysctl'], changed('sysctl')],
  ['what both have', both, both],
]

/** Refused, with what to do instead, until the engine has them. */
const refused = new Set(['isolation', 'credential-spec'])

for (const [row, ofCreate, ofUpdate] of rows) {
  t.test(row, async (t) => {
    const known: readonly (readonly [string, readonly string[], object])[] = [
      ['create', ofCreate, createFlags],
      ['update', ofUpdate, updateFlags],
    ]
    for (const [command, names, flags] of known) {
      for (const name of names) {
        t.equal(Object.hasOwn(flags, name), !refused.has(name), `service ${command} --${name}`)
        t.equal(absentServiceFlag(name) !== undefined, refused.has(name), name)
      }
    }
  })
}
