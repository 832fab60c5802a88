// The small grammars of service flags: CSV, words, mounts, ports, ulimits, environment.
import t from 'tap'
import {
  changeKeyed,
  changeList,
  changeMap,
  parseEnv,
  parseEnvFile,
  parseMap,
  uniqueEnv,
} from '../../../../cli/service/assignments.ts'
import { csvFields, splitCsv, splitWords } from '../../../../cli/service/csv.ts'
import { parseMount } from '../../../../cli/service/mount.ts'
import { networkUseText, parseNetworkUse } from '../../../../cli/service/network-use.ts'
import { parsePublish } from '../../../../cli/service/publish.ts'
import { randomServiceName } from '../../../../cli/service/random-name.ts'
import { absentServiceFlag } from '../../../../cli/service/service-flags.ts'
import { parseUlimit } from '../../../../cli/service/ulimit.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { serviceName } from '../../../../proto/spec/text.ts'

t.test('CSV fields may be quoted', async (t) => {
  t.strictSame(splitCsv('a=1,b=2'), ['a=1', 'b=2'])
  t.strictSame(splitCsv('"a=1,2",b'), ['a=1,2', 'b'])
  t.strictSame(splitCsv('"say ""hi""",'), ['say "hi"', ''])
  t.throws(() => splitCsv('"a'), /double quote/)
  t.throws(() => splitCsv('"a"b'), /double quote/)
  t.strictSame(csvFields('Type=bind,ro'), [
    { key: 'type', value: 'bind' },
    { key: 'ro', value: undefined },
  ])
})

t.test('words are split as a shell does', async (t) => {
  t.strictSame(splitWords('  sh -c  "a b" '), ['sh', '-c', 'a b'])
  t.strictSame(splitWords(`a'b c'd"e \\" f"`), ['ab cde " f'])
  t.strictSame(splitWords("a\\ b ''"), ['a b', ''])
  t.strictSame(splitWords(''), [])
  t.throws(() => splitWords("a 'b"), /quote that is not closed/)
})

t.test('mounts', async (t) => {
  t.match(parseMount('source=data,target=/data'), {
    kind: 'volume',
    source: 'data',
    target: '/data',
  })
  t.match(parseMount('type=bind,src=/a,dst=/b,ro,bind-propagation=rslave,bind-create-src'), {
    kind: 'bind',
    source: '/a',
    target: '/b',
    readOnly: true,
    bindPropagation: 'rslave',
    bindCreate: true,
  })
  t.match(parseMount('type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=1770,readonly=false'), {
    kind: 'tmpfs',
    tmpfsSizeBytes: 64 * 2 ** 20,
    tmpfsMode: 0o1770,
    readOnly: false,
  })
  t.match(
    parseMount(
      'src=d,dst=/d,volume-label=a=b,volume-label=c,volume-driver=local,volume-opt=type=nfs,' +
        '"volume-opt=o=addr=10.0.0.1,rw",volume-opt=device=:/x,volume-subpath=in,volume-affinity=slot',
    ),
    {
      volumeLabels: { a: 'b', c: '' },
      volumeDriver: 'local',
      volumeOptions: { type: 'nfs', o: 'addr=10.0.0.1,rw', device: ':/x' },
      volumeSubpath: 'in',
      volumeAffinity: 'slot',
    },
  )
  t.match(parseMount('type=bind,src=/a,dst=/b,bind-recursive=disabled'), { bindNonRecursive: true })
  t.match(parseMount('type=bind,src=/a,dst=/b,ro,bind-recursive=writable'), {
    readOnlyNonRecursive: true,
  })
  t.match(parseMount('type=bind,src=/a,dst=/b,ro,bind-recursive=readonly'), {
    readOnlyForceRecursive: true,
  })
  const bad: readonly (readonly [string, RegExp])[] = [
    ['source=a', /target is required/],
    ['type=npipe,target=/a', /type "npipe" is not available: it may be bind, volume or tmpfs/],
    ['target=/a,ro=maybe', /ro must be true or false/],
    ['target=/a,foo=1', /unexpected key "foo"; the keys are/],
    ['target=/a,source', /"source" must be key=value/],
    ['target=/a,consistency=soon', /consistency must be one of default, consistent, cached, dele/],
    ['target=/a,volume-opt=type', /"type" must be NAME=value/],
    ['target=/a,volume-affinity=node', /volume-affinity must be slot or none/],
    ['type=bind,target=/a,volume-subpath=x', /volume-subpath goes with type=volume only/],
    ['type=bind,target=/a,bind-recursive=yes', /must be enabled, disabled, writable or readonly/],
    ['target=/a,tmpfs-size=1m', /tmpfs-size goes with type=tmpfs only, not with type=volume/],
    ['type=tmpfs,target=/a,tmpfs-mode=9', /must be octal/],
    ['type=tmpfs,target=/a,tmpfs-size=big', /must be a size/],
    ['type=bind,target=/a,bind-propagation=x', /must be one of rprivate/],
    ['type=bind,target=/a,volume-nocopy', /goes with type=volume/],
  ]
  for (const [text, message] of bad) t.throws(() => parseMount(text), { message }, text)
})

t.test('ports are published on every node, or on the hosts of the tasks', async (t) => {
  const plain = {
    name: '',
    bindAddress: '',
    sources: [],
    isMasqueraded: false,
    isLocalFirst: false,
    isFirewallFirst: false,
  }
  t.same(parsePublish('8080:80'), [
    { ...plain, protocol: 'tcp', targetPort: 80, publishedPort: 8080, mode: 'ingress' },
  ])
  t.match(parsePublish('53/udp'), [{ protocol: 'udp', targetPort: 53, publishedPort: 0 }])
  t.match(parsePublish('mode=host,published=8080,target=80'), [
    { publishedPort: 8080, targetPort: 80, protocol: 'tcp', mode: 'host', bindAddress: '' },
  ])
  t.match(parsePublish('target=53,protocol=udp,mode=host,host_ip=10.0.0.1'), [
    { publishedPort: 0, protocol: 'udp', bindAddress: '10.0.0.1' },
  ])
  t.match(
    parsePublish(
      'target=80,published=80,host_ip=127.0.0.1,source=10.0.0.0/8,source=fd00::/8,masquerade=true,local-first=1,firewall-first=true',
    ),
    [
      {
        ...{ mode: 'ingress', bindAddress: '127.0.0.1', sources: ['10.0.0.0/8', 'fd00::/8'] },
        ...{ isMasqueraded: true, isLocalFirst: true, isFirewallFirst: true },
      },
    ],
  )
})

t.test('an IPv6 address may stand in brackets', async (t) => {
  for (const text of ['fd99::5', '[fd99::5]']) {
    t.match(parsePublish(`target=80,mode=host,host_ip=${text}`), [{ bindAddress: 'fd99::5' }])
  }
})

t.test('ranges of ports are as many ports', async (t) => {
  const pairs = (text: string) =>
    parsePublish(text).map(({ publishedPort, targetPort }) => [publishedPort, targetPort])
  t.same(pairs('8000-8002:80-82/sctp'), [
    [8000, 80],
    [8001, 81],
    [8002, 82],
  ])
  t.same(pairs('8000-8001:80'), [
    [8000, 80],
    [8001, 80],
  ])
  t.same(pairs('80-81'), [
    [0, 80],
    [0, 81],
  ])
  t.same(pairs('published=9000-9001,target=90-91'), [
    [9000, 90],
    [9001, 91],
  ])
})

t.test('ports that cannot be read are refused with what to write', async (t) => {
  const bad: readonly (readonly [string, RegExp])[] = [
    ['127.0.0.1:8080:80', /must be \[PUBLISHED:\]TARGET.*an address goes with the long form/],
    ['http', /must be \[PUBLISHED:\]TARGET/],
    ['8000-8002:80-81', /ranges of published and target ports must be of one length/],
    ['80:90-91', /of one length/],
    ['82-80', /target must be a port from 1 to 65535, or a range/],
    ['0-3:80-83', /published must be a port/],
    ['80/icmp', /protocol must be tcp, udp or sctp, not "icmp"/],
    ['mode=odd,target=80', /mode must be ingress or host, not "odd"/],
    ['mode=host,published=8080', /target is required/],
    ['mode=host,target=0', /target must be a port from 1 to 65535/],
    ['mode=host,target=80,published=70000', /published must be a port from 0/],
    ['target=80,masquerade=maybe', /masquerade must be true or false/],
    ['mode=host,target=80,x=1', /unexpected key "x"/],
    ['mode=host,target=', /field "target" has no value/],
  ]
  for (const [text, message] of bad) t.throws(() => parsePublish(text), { message }, text)
})

t.test('ulimits', async (t) => {
  t.strictSame(parseUlimit('nofile=1024:2048'), { name: 'nofile', soft: 1024, hard: 2048 })
  t.strictSame(parseUlimit('core=-1'), { name: 'core', soft: -1, hard: -1 })
  t.throws(() => parseUlimit('nofile'), /must be NAME=SOFT/)
  t.throws(() => parseUlimit('nofiles=1'), /is none of as, core/)
})

t.test('environment', async (t) => {
  const outer = { HOME: '/root' }
  t.strictSame(parseEnv(['A=1', 'HOME', 'NONE', 'B='], outer), ['A=1', 'HOME=/root', 'B='])
  t.throws(() => parseEnv(['=1'], outer), /has no name/)
  t.throws(() => parseEnv([''], outer), /has no name/)
  t.strictSame(parseEnvFile('\uFEFF# c\n\nA=1\r\n  B=2 \nC\n'), ['A=1', 'B=2 ', 'C'])
  t.throws(() => parseEnvFile('A B=1'), /contains whitespace/)
  t.strictSame(uniqueEnv(['A=1', 'B=2', 'A=3']), ['A=3', 'B=2'])
})

t.test('maps, lists and keyed lists change without losing their order', async (t) => {
  t.strictSame(parseMap('label', ['a=1', 'b', 'c=x=y']), { a: '1', b: '', c: 'x=y' })
  t.throws(() => parseMap('label', ['=1']), /must be NAME=value/)
  t.strictSame(changeMap({ a: '1', b: '2' }, ['a'], { b: '3', c: '4' }), { b: '3', c: '4' })
  t.strictSame(changeList(['a', 'b', 'c'], ['a'], ['c', 'd', 'd']), ['b', 'c', 'd'])
  const key = (item: string): string => item.slice(0, 1)
  t.strictSame(changeKeyed(['a1', 'b1', 'c1'], { removed: ['b'], added: ['d1', 'a2'] }, key), [
    'a2',
    'c1',
    'd1',
  ])
})

t.test("flags of Swarm's that are not there are all told about", async (t) => {
  for (const name of ['credential-spec', 'isolation']) {
    t.type(absentServiceFlag(name), 'string', name)
  }
  for (const name of ['name', 'networks', 'replica', ''])
    t.equal(absentServiceFlag(name), undefined)
})

t.test('random names are names', async (t) => {
  const random = seededRandom(1)
  for (let i = 0; i < 200; i += 1) {
    t.ok(serviceName.safeParse(randomServiceName(random)).success)
  }
})

t.test('networks of a service have a name and aliases', async (t) => {
  t.same(parseNetworkUse('back'), { target: 'back', aliases: [], driverOptions: {} })
  t.same(parseNetworkUse('name=back,alias=db,alias=sql'), {
    target: 'back',
    aliases: ['db', 'sql'],
    driverOptions: {},
  })
  const withOptions = 'name=back,alias=db,driver-opt=a=1=2,"driver-opt=b=x,""y"""'
  const use = parseNetworkUse(withOptions)
  t.same(use, { target: 'back', aliases: ['db'], driverOptions: { a: '1=2', b: 'x,"y"' } })
  t.equal(networkUseText(use), withOptions)
  const bad: readonly (readonly [string, RegExp])[] = [
    ['', /must be NAME/],
    ['alias=db', /name is required/],
    ['name=back,alias=', /field "alias" has no value/],
    ['name=back,driver-opt=x', /driver-opt "x" must be KEY=VALUE/],
    ['name=back,ip=1.2.3.4', /unexpected key "ip"/],
  ]
  for (const [text, message] of bad) t.throws(() => parseNetworkUse(text), { message }, text)
})
