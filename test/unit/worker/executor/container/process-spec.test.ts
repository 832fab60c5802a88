import * as fc from 'fast-check'
import t from 'tap'
import { hostsFile, resolvConf } from '../../../../../worker/executor/container/etc-files.ts'
import {
  containerHostname,
  processArgs,
  processEnv,
  workdir,
} from '../../../../../worker/executor/container/process-spec.ts'
import { imageHealth } from '../../../../../worker/image/image-health.ts'
import type { ImageConfig } from '../../../../../worker/image/store-index.ts'
import { aContainer } from '../../../../support/container-configs.ts'

const image: ImageConfig = {
  env: ['A=image', 'B=image'],
  entrypoint: ['/e'],
  command: ['c'],
  workdir: '',
  user: '',
  stopSignal: '',
  volumes: [],
  labels: {},
  health: imageHealth({}, []),
  ports: [],
}
const facts = { hostname: 'h', home: '/root' }

t.test('what runs', async (t) => {
  const args = (over: object, of: Partial<ImageConfig> = {}): readonly string[] =>
    processArgs(aContainer('x', over), { ...image, ...of })
  t.same(args({}), ['/e', 'c'])
  t.same(args({ args: ['own'] }), ['/e', 'own'])
  t.same(args({ entrypoint: ['/own'] }), ['/own'], "an own entrypoint voids the image's command")
  t.same(args({ entrypoint: ['/own'], args: ['a'] }), ['/own', 'a'])
  t.same(args({ entrypoint: [], args: [] }), ['/e', 'c'], 'empty is not given')
  t.throws(() => args({}, { entrypoint: [], command: [] }), {
    code: 'INVALID_ARGUMENT',
    message: /no command specified/,
  })
})

t.test('environment: the container over the image over the defaults, no name twice', async (t) => {
  const env = processEnv(
    aContainer('x', { env: ['B=own', 'C=1', 'C=2', 'HOSTNAME=me'] }),
    image,
    facts,
  )
  t.same(
    env.toSorted(),
    ['A=image', 'B=own', 'C=2', 'HOME=/root', 'HOSTNAME=me', env[0]].toSorted(),
  )
  t.match(env[0], /^PATH=/)
  const names = fc.constantFrom('A', 'B', 'PATH', 'HOME', 'X')
  fc.assert(
    fc.property(fc.array(fc.tuple(names, fc.string())), (pairs) => {
      const lines = pairs.map(([name, value]) => `${name}=${value}`)
      const result = processEnv(aContainer('x', { env: lines }), image, facts)
      const keys = result.map((line) => line.slice(0, line.indexOf('=')))
      const last = new Map(pairs)
      return (
        new Set(keys).size === keys.length &&
        [...last].every(([name, value]) => result.includes(`${name}=${value}`))
      )
    }),
  )
})

t.test('a bare name takes the variable away, a terminal has a type', async (t) => {
  const env = processEnv(aContainer('x', { env: ['A', 'HOME'], tty: true }), image, facts)
  t.notOk(env.some((line) => line.startsWith('A=')))
  t.ok(env.includes('TERM=xterm'))
})

t.test('hostname and working directory', async (t) => {
  t.equal(containerHostname(aContainer('abcdefghijklmnop')), 'abcdefghijkl')
  t.equal(containerHostname(aContainer('x', { hostname: 'web' })), 'web')
  t.equal(workdir(aContainer('x'), image), '/')
  t.equal(workdir(aContainer('x'), { ...image, workdir: '/i' }), '/i')
  t.equal(workdir(aContainer('x', { workdir: '/own' }), { ...image, workdir: '/i' }), '/own')
  t.throws(() => workdir(aContainer('x', { workdir: 'rel' }), image), { code: 'INVALID_ARGUMENT' })
})

t.test('/etc/hosts and /etc/resolv.conf', async (t) => {
  const attachment = {
    endpoints: [{ networkId: 'n', addresses: ['10.0.0.5/16', 'fd00::5/64'] }],
    ports: [],
    nameservers: ['10.0.0.1'],
    search: ['lan'],
    hosts: ['10.0.0.9 db'],
  }
  const config = aContainer('web', { hosts: ['1.2.3.4 x'] })
  const hosts = hostsFile(config, attachment, '')
  t.match(hosts, /^127\.0\.0\.1\tlocalhost\n/)
  t.ok(hosts.endsWith('1.2.3.4 x\n10.0.0.9 db\n10.0.0.5\tweb\nfd00::5\tweb\n'), hosts)
  t.equal(resolvConf(config, attachment, ''), 'nameserver 10.0.0.1\nsearch lan\noptions ndots:0\n')
  t.equal(resolvConf(config, undefined, 'ignored'), '')
  const onHost = aContainer('web', { network: { kind: 'host' } })
  t.equal(hostsFile(onHost, undefined, '127.0.0.1 me'), '127.0.0.1 me\n')
  t.equal(resolvConf(onHost, undefined, 'nameserver 9.9.9.9\n'), 'nameserver 9.9.9.9\n')
  const dns = { nameservers: ['8.8.8.8'], search: [], options: ['use-vc'] }
  t.equal(resolvConf({ ...onHost, dns }, undefined, 'x'), 'nameserver 8.8.8.8\noptions use-vc\n')
  const byNode = { ...attachment, nameservers: ['127.0.0.11'], isNodeResolved: true }
  const own = resolvConf({ ...config, dns }, byNode, '')
  t.equal(own, 'nameserver 127.0.0.11\nsearch lan\noptions use-vc\n', 'the node asks them')
})
