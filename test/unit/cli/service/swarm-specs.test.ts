// Every key of a service in Docker's API, row by row of swarm-semantics 2: what the command line says of it is accepted, kept as it was,
// checked, shown by `service inspect`, and reaches the container; or it is refused with a reason.
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { defineCommand } from '../../../../cli/command.ts'
import { parseCommand } from '../../../../cli/parse-args.ts'
import { prettyService } from '../../../../cli/render/service-pretty.ts'
import { type CreateFlags, createFlags, createSpec } from '../../../../cli/service/create-spec.ts'
import { splitWords } from '../../../../cli/service/csv.ts'
import { absentServiceFlag } from '../../../../cli/service/service-flags.ts'
import { checkServiceSpec } from '../../../../manager/controlapi/check-service-spec.ts'
import { parseServiceSpec, serviceSpecToProto } from '../../../../proto/codec/service.ts'
import { serviceSpecJson } from '../../../../proto/docker/service-json.ts'
import { ServiceSpec as ServiceSpecProto } from '../../../../proto/gen/tsswarm/v1/objects.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import type { ServiceSpec } from '../../../../proto/spec/service-spec.ts'
import {
  containerConfig,
  type HostFacts,
  hostPortsOf,
} from '../../../../worker/container-config.ts'
import { aService } from '../../../support/objects.ts'
import { anAssignedTask } from '../../../support/task-builders.ts'

const command = defineCommand({
  summary: '',
  examples: [],
  run: async () => 0,
  name: 'service create',
  args: { usage: 'IMAGE', min: 1, max: 99, stopAtFirst: true },
  flags: createFlags,
})

/** `service create --name web LINE`, and the image where the line has none. */
function create(line: string): ServiceSpec {
  const words = splitWords(line.includes(' -- ') ? line.replace(' -- ', ' ') : `${line} hello`)
  const parsed = parseCommand(command, ['--name', 'web', ...words])
  if (parsed.kind === 'help') throw new Error('help')
  const surroundings = { env: {}, newName: () => 'none' }
  return createSpec(parsed.flags as CreateFlags, parsed.args, surroundings)
}

const host: HostFacts = {
  nodeId: nodeId('node1'),
  hostname: 'alpha',
  os: 'linux',
  architecture: 'x86_64',
  network: (_task, { ports }) => ({ kind: 'attached', endpoints: [], ports: hostPortsOf(ports) }),
}

interface Row {
  /** As the reference has it. */
  readonly key: string
  /** Of `service create`; ` -- ` before an image of its own. */
  readonly line: string
  /** Of the spec as Docker's API shows it: path and value. */
  readonly json: readonly [string, unknown]
  /** A line of `service inspect --pretty`. */
  readonly pretty?: RegExp
  /** What the container of its task 3 gets. */
  readonly container?: object
  /** Lines that are refused, and the words. */
  readonly refused?: readonly (readonly [string, RegExp])[]
}

const seconds = 1e9
const profile = '{"defaultAction":"SCMP_ACT_ALLOW"}'
const folder = t.testdir({
  'profile.json': `${profile.replace(':', ' : ')}\n`,
  'wrong.json': '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "x", "action": "NO"}]}',
})
const profilePath = `${folder}/profile.json`
const wrongProfilePath = `${folder}/wrong.json`
const template = 'TaskTemplate.'
const endpointSysctls = 'com.docker.network.endpoint.sysctls'
const interfaceSettings =
  'net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.IFNAME.ucast_solicit=4'
const spec = `${template}ContainerSpec.`

const serviceRows: readonly Row[] = [
  { key: 'ServiceSpec.Name', line: '', json: ['Name', 'web'], pretty: /^Name:\t\tweb$/m },
  {
    key: '.Labels',
    line: '--label a=b',
    json: ['Labels', { a: 'b' }],
    pretty: /^ a=b$/m,
  },
  { key: '.Labels: never null', line: '', json: ['Labels', {}] },
  {
    key: '.Mode.Replicated.Replicas',
    line: '',
    json: ['Mode', { Replicated: { Replicas: 1 } }],
    pretty: /^ Replicas:\t1$/m,
    refused: [['--replicas -1', /replicas/]],
  },
  {
    key: '.Mode.Global',
    line: '--mode global',
    json: ['Mode', { Global: {} }],
    pretty: /^Service Mode:\tGlobal$/m,
    refused: [['--mode global --replicas 2', /replicas/]],
  },
  {
    key: '.Mode.ReplicatedJob',
    line: '--mode replicated-job --replicas 4 --max-concurrent 2',
    json: ['Mode', { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 4 } }],
    pretty: /^ Total Completions:\t4$/m,
  },
  {
    key: '.Mode.ReplicatedJob: TotalCompletions = MaxConcurrent',
    line: '--mode replicated-job',
    json: ['Mode', { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } }],
  },
  { key: '.Mode.GlobalJob', line: '--mode global-job', json: ['Mode', { GlobalJob: {} }] },
  {
    key: '.UpdateConfig: the defaults',
    line: '',
    json: [
      'UpdateConfig',
      {
        Parallelism: 1,
        FailureAction: 'pause',
        Monitor: 5 * seconds,
        MaxFailureRatio: 0,
        Order: 'stop-first',
      },
    ],
  },
  {
    key: '.UpdateConfig',
    line:
      '--update-parallelism 0 --update-delay 3s --update-failure-action rollback --update-monitor 7s ' +
      '--update-max-failure-ratio 0.5 --update-order start-first',
    json: [
      'UpdateConfig',
      {
        Parallelism: 0,
        Delay: 3 * seconds,
        FailureAction: 'rollback',
        Monitor: 7 * seconds,
        MaxFailureRatio: 0.5,
        Order: 'start-first',
      },
    ],
    pretty: /^ On failure:\trollback$/m,
    refused: [
      ['--update-max-failure-ratio 1.5', /ratio/],
      ['--update-failure-action stop', /pause/],
      ['--mode replicated-job --update-parallelism 2', /update is not for jobs/],
    ],
  },
  {
    key: '.RollbackConfig',
    line: '--rollback-parallelism 2 --rollback-failure-action continue',
    json: ['RollbackConfig.FailureAction', 'continue'],
    refused: [['--rollback-failure-action rollback', /pause/]],
  },
  {
    key: '.EndpointSpec.Mode',
    line: '--endpoint-mode dnsrr',
    json: ['EndpointSpec.Mode', 'dnsrr'],
    refused: [['--endpoint-mode dnsrr --publish 80:80', /dnsrr/]],
  },
  {
    key: '.EndpointSpec.Ports[]',
    line: '--publish published=80,target=8080,protocol=udp,mode=host',
    json: [
      'EndpointSpec.Ports.0',
      { Protocol: 'udp', TargetPort: 8080, PublishedPort: 80, PublishMode: 'host' },
    ],
    pretty: /PublishedPort = 80\n {2}Protocol = udp\n {2}TargetPort = 8080\n {2}PublishMode = host/,
    container: {
      network: { ports: [{ protocol: 'udp', targetPort: 8080, publishedPort: 80 }] },
    },
    refused: [
      ['--publish 0', /publish/],
      ['--publish 80:80 --publish 80:81', /second time/],
    ],
  },
  {
    key: '.EndpointSpec.Ports[]: tcp, ingress, dynamic',
    line: '--publish 80',
    json: ['EndpointSpec.Ports.0', { Protocol: 'tcp', TargetPort: 80, PublishMode: 'ingress' }],
  },
]

const taskRows: readonly Row[] = [
  {
    key: 'TaskSpec.Resources.Limits',
    line: '--limit-cpu 0.5 --limit-memory 64m --limit-pids 100',
    json: [`${template}Resources.Limits`, { NanoCPUs: 5e8, MemoryBytes: 2 ** 26, Pids: 100 }],
    pretty: /^ {2}Pids:\t\t100$/m,
    container: { resources: { nanoCpus: 5e8, memoryBytes: 2 ** 26, pids: 100 } },
    refused: [
      ['--limit-cpu 0.0001', /at least 0.001 CPUs/],
      ['--limit-memory 1m', /at least 4MiB/],
    ],
  },
  {
    key: '.Resources.SwapBytes, MemorySwappiness (API 1.52)',
    line: '--limit-memory 64m --memory-swap 32m --memory-swappiness 0',
    json: [`${template}Resources.SwapBytes`, 2 ** 25],
    pretty: /^Control Group:\n Swap:\t\t32MiB\n Swappiness:\t0$/m,
    container: { tuning: { swapBytes: 2 ** 25, swappiness: 0 } },
    refused: [
      ['--memory-swap 32m', /needs a limit of memory/],
      ['--memory-swap much', /size such as/],
      ['--memory-swappiness 101', /-1 to 100/],
    ],
  },
  {
    key: '.Resources: swap without a limit',
    line: '--limit-memory 64m --memory-swap -1',
    json: [`${template}Resources.SwapBytes`, -1],
    pretty: /^ Swap:\t\tunlimited$/m,
    container: { tuning: { swapBytes: -1 } },
  },
  {
    key: '.Resources: processors, shares, disks (ours, by the names of `docker run`)',
    line:
      '--cpuset-cpus 0-1,3 --cpuset-mems 0 --cpu-shares 512 --blkio-weight 300 ' +
      '--device-read-bps /dev/sda:1m --device-write-iops /dev/sda:100',
    json: [`${template}Resources.BlkioDeviceReadBps`, [{ Path: '/dev/sda', Rate: 2 ** 20 }]],
    pretty: /^ CPUs:\t\t0-1,3\n Memory Nodes:\t0\n CPU Shares:\t512\n Blkio Weight:\t300$/m,
    container: {
      tuning: {
        cpus: '0-1,3',
        memoryNodes: '0',
        cpuShares: 512,
        blkioWeight: 300,
        ioLimits: [{ kind: 'read-bps' }, { kind: 'write-iops', rate: 100 }],
      },
    },
    refused: [
      ['--cpuset-cpus 3-1', /numbers and ranges/],
      ['--cpu-shares 1', /cpuShares/],
      ['--blkio-weight 5', /blkioWeight/],
      ['--device-read-bps sda:1m', /PATH:RATE/],
      ['--device-read-iops /dev/sda:fast', /PATH:NUMBER/],
      ['--device-read-bps /dev/sda:1m --device-read-bps /sda:1m', /device such as/],
    ],
  },
  {
    key: '.Resources.Reservations',
    line: '--reserve-cpu 1 --reserve-memory 32m --generic-resource gpu=2',
    json: [
      `${template}Resources.Reservations`,
      {
        NanoCPUs: 1e9,
        MemoryBytes: 2 ** 25,
        GenericResources: [{ DiscreteResourceSpec: { Kind: 'gpu', Value: 2 } }],
      },
    ],
    pretty: /^ {2}Generic:\tgpu=2$/m,
    refused: [['--generic-resource gpu=GPU-a1', /gpu/]],
  },
  {
    key: '.RestartPolicy: the defaults',
    line: '',
    json: [`${template}RestartPolicy`, { Condition: 'any', Delay: 5 * seconds, MaxAttempts: 0 }],
  },
  {
    key: '.RestartPolicy',
    line: '--restart-condition on-failure --restart-delay 1s --restart-max-attempts 3 --restart-window 1m',
    json: [
      `${template}RestartPolicy`,
      { Condition: 'on-failure', Delay: seconds, MaxAttempts: 3, Window: 60 * seconds },
    ],
    pretty: /^ Max attempts:\t3$/m,
    refused: [['--restart-condition never', /none/]],
  },
  {
    key: '.Placement.Constraints[]',
    line: '--constraint node.role==worker',
    json: [`${template}Placement.Constraints`, ['node.role==worker']],
    pretty: /^ Constraints:\t\[node.role==worker\]$/m,
    refused: [['--constraint node.role', /constraint/]],
  },
  {
    key: '.Placement.Preferences[]',
    line: '--placement-pref spread=node.labels.zone',
    json: [
      `${template}Placement.Preferences`,
      [{ Spread: { SpreadDescriptor: 'node.labels.zone' } }],
    ],
    pretty: /^ Preferences:\tnode.labels.zone$/m,
    refused: [['--placement-pref zone', /placement preference/]],
  },
  {
    key: '.Placement.MaxReplicas',
    line: '--replicas-max-per-node 2',
    json: [`${template}Placement.MaxReplicas`, 2],
    pretty: /^ Max Replicas Per Node:\t2$/m,
    refused: [['--mode global --replicas-max-per-node 2', /one task a node/]],
  },
  {
    key: '.Networks[]',
    line: `--network 'name=back,alias=db,"driver-opt=${endpointSysctls}=${interfaceSettings}"'`,
    json: [
      `${template}Networks`,
      [
        {
          Target: 'back',
          Aliases: ['db'],
          DriverOpts: { [endpointSysctls]: interfaceSettings },
        },
      ],
    ],
    pretty: /^Networks: back$/m,
    refused: [
      ['--network name=back,driver-opt=a=b', /driver option "a", which no network knows/],
      [
        `--network name=back,driver-opt=${endpointSysctls}=net.ipv4.conf.all.rp_filter=0`,
        /"net\.ipv4\.conf\.all\.rp_filter=0".*IFNAME as it stands here/,
      ],
      [
        `--network name=host,driver-opt=${endpointSysctls}=net.ipv4.conf.IFNAME.rp_filter=0`,
        /driver options, and tasks have no interface of their own there/,
      ],
    ],
  },
  {
    key: '.LogDriver',
    line: '--log-driver json-file --log-opt max-size=1m --log-opt max-file=2',
    json: [
      `${template}LogDriver`,
      { Name: 'json-file', Options: { 'max-size': '1m', 'max-file': '2' } },
    ],
    pretty: /^Log Driver:\n Name:\t\tjson-file\n LogOpts:\n {2}max-file=2\n {2}max-size=1m$/m,
    container: { log: { kind: 'files', bytesMax: 1e6, filesMax: 2 } },
    refused: [
      ['--log-driver gelf', /"gelf" is not available/],
      ['--log-opt labels-regex=x', /option "labels-regex"/],
    ],
  },
  {
    key: '.LogDriver none',
    line: '--log-driver none',
    json: [`${template}LogDriver`, { Name: 'none' }],
    container: { log: { kind: 'none' } },
  },
  { key: '.ForceUpdate', line: '', json: [`${template}ForceUpdate`, 0] },
  { key: '.Runtime', line: '', json: [`${template}Runtime`, 'container'] },
]

const containerRows: readonly Row[] = [
  {
    key: 'ContainerSpec.Image',
    line: '--init -- nginx:1',
    json: [`${spec}Image`, 'nginx:1'],
    pretty: /^ Image:\t\tnginx:1$/m,
    container: { image: 'nginx:1' },
    refused: [[' -- UPPER', /no image reference/]],
  },
  {
    key: '.Labels',
    line: '--container-label a=b',
    json: [`${spec}Labels`, { a: 'b' }],
    container: { labels: { a: 'b' } },
  },
  {
    key: '.Command',
    line: "--entrypoint 'sh -c'",
    json: [`${spec}Command`, ['sh', '-c']],
    pretty: /^ Command:\tsh -c$/m,
    container: { entrypoint: ['sh', '-c'] },
  },
  {
    key: '.Args',
    line: '--init -- hello one two',
    json: [`${spec}Args`, ['one', 'two']],
    pretty: /^ Args:\t\tone two$/m,
    container: { args: ['one', 'two'] },
  },
  {
    key: '.Hostname (templated)',
    line: "--hostname 'h-{{.Task.Slot}}'",
    json: [`${spec}Hostname`, 'h-{{.Task.Slot}}'],
    pretty: /^ Hostname:\th-\{\{\.Task\.Slot\}\}$/m,
    container: { hostname: 'h-3' },
    refused: [["--hostname '{{.Task.Nope}}'", /Nope/]],
  },
  {
    key: '.Env (templated)',
    line: "--env 'WHO={{.Service.Name}}@{{.Node.Hostname}}'",
    json: [`${spec}Env`, ['WHO={{.Service.Name}}@{{.Node.Hostname}}']],
    pretty: /^ Env:\t\tWHO=/m,
    container: { env: ['WHO=web@alpha'] },
    refused: [["--env 'A={{.Secret}}'", /Secret/]],
  },
  {
    key: '.Dir',
    line: '--workdir /srv',
    json: [`${spec}Dir`, '/srv'],
    pretty: /^ Dir:\t\t\/srv$/m,
    container: { workdir: '/srv' },
  },
  {
    key: '.User',
    line: '--user 1000:1000',
    json: [`${spec}User`, '1000:1000'],
    pretty: /^ User:\t\t1000:1000$/m,
    container: { user: '1000:1000' },
  },
  {
    key: '.Groups[]',
    line: '--group video',
    json: [`${spec}Groups`, ['video']],
    container: { groups: ['video'] },
  },
  {
    key: '.Privileges.NoNewPrivileges',
    line: '--no-new-privileges',
    json: [`${spec}Privileges`, { NoNewPrivileges: true }],
    container: { noNewPrivileges: true },
  },
  {
    key: '.Privileges.Seccomp unconfined',
    line: '--security-opt seccomp=unconfined --security-opt no-new-privileges',
    json: [`${spec}Privileges`, { NoNewPrivileges: true, Seccomp: { Mode: 'unconfined' } }],
    pretty: /^ NoNewPrivileges:\ttrue\n Seccomp:\tunconfined$/m,
    container: { noNewPrivileges: true, security: { seccomp: 'unconfined' } },
    refused: [
      ['--security-opt seccomp=/no/such', /cannot read the seccomp profile \/no\/such/],
      ['--security-opt seccomp', /needs "unconfined", "default" or a file/],
      ['--security-opt label=disable', /SELinux/],
      ['--security-opt no-new-privileges=maybe', /true or false/],
      ['--security-opt sandbox=on', /is none of seccomp=/],
      ['--security-opt systempaths=open', /systempaths=unconfined/],
    ],
  },
  {
    key: '.Privileges.Seccomp custom',
    line: `--security-opt seccomp=${profilePath}`,
    json: [
      `${spec}Privileges.Seccomp`,
      { Mode: 'custom', Profile: Buffer.from(profile).toString('base64') },
    ],
    pretty: /^ Seccomp:\ta profile of its own \(34 characters\)$/m,
    container: { security: { seccomp: profile } },
    refused: [
      [`--security-opt seccomp=${wrongProfilePath}`, /seccomp.*syscalls.0.action must be one of/],
    ],
  },
  {
    key: '.Privileges.AppArmor',
    line: '--security-opt apparmor=unconfined',
    json: [`${spec}Privileges.AppArmor`, { Mode: 'disabled' }],
    pretty: /^ AppArmor:\tunconfined$/m,
    container: { security: { appArmor: 'unconfined' } },
    refused: [['--security-opt apparmor', /needs "unconfined", "default" or a profile/]],
  },
  {
    key: '.Privileges: profiles by name, system paths (ours)',
    line: '--security-opt apparmor:web --security-opt systempaths=unconfined',
    json: [
      `${spec}Privileges`,
      { AppArmor: { Mode: 'custom', Profile: 'web' }, SystemPaths: 'unconfined' },
    ],
    pretty: /^ AppArmor:\tweb\n SystemPaths:\tunconfined$/m,
    container: { security: { appArmor: 'web', systemPathsUnconfined: true } },
  },
  {
    key: '.Privileges: privileged (ours)',
    line: '--privileged',
    json: [`${spec}Privileges`, { Privileged: true }],
    pretty: /^ Privileged:\ttrue$/m,
    container: { security: { privileged: true } },
    refused: [
      ['--privileged --no-new-privileges', /does not go with no-new-privileges/],
      ['--privileged --device /dev/fuse', /all there when privileged/],
      [`--privileged --security-opt seccomp=${profilePath}`, /has no seccomp filter/],
    ],
  },
  {
    key: '.Privileges: users of the node (ours)',
    line: '--userns host',
    json: [`${spec}Privileges`, { UsernsMode: 'host' }],
    pretty: /^ Userns:\thost$/m,
    container: { security: { hostUsers: true } },
    refused: [['--userns mine', /must be one of host, private/]],
  },
  {
    key: '.Privileges: devices (ours)',
    line: '--device /dev/fuse --device /dev/sda:/dev/disk:r',
    json: [
      `${spec}Privileges.Devices.1`,
      { PathOnHost: '/dev/sda', PathInContainer: '/dev/disk', CgroupPermissions: 'r' },
    ],
    pretty: /^ Device:\t\/dev\/fuse:\/dev\/fuse:rwm$/m,
    container: {
      security: { devices: [{ target: '/dev/fuse' }, { target: '/dev/disk', access: 'r' }] },
    },
    refused: [
      ['--device fuse', /PATH\[:PATH IN THE CONTAINER/],
      ['--device /dev/a:/dev/a:rr', /some of r, w and m/],
      ['--device /dev/../etc', /absolute path without/],
    ],
  },
  { key: '.Init', line: '--init', json: [`${spec}Init`, true], container: { init: true } },
  {
    key: '.Init: false is not absent',
    line: '--init=false',
    json: [`${spec}Init`, false],
    container: { init: false },
  },
  { key: '.Init: absent', line: '', json: [`${spec}Init`, undefined] },
  { key: '.TTY', line: '--tty', json: [`${spec}TTY`, true], container: { tty: true } },
  {
    key: '.ReadOnly',
    line: '--read-only',
    json: [`${spec}ReadOnly`, true],
    container: { readOnly: true },
  },
  {
    key: '.StopSignal',
    line: '--stop-signal SIGINT',
    json: [`${spec}StopSignal`, 'SIGINT'],
    pretty: /^ Stop Signal:\tSIGINT$/m,
    container: { stopSignal: 'SIGINT' },
    refused: [['--stop-signal SIGNOPE', /no signal/]],
  },
  {
    key: '.StopGracePeriod',
    line: '--stop-grace-period 3s',
    json: [`${spec}StopGracePeriod`, 3 * seconds],
    container: { stopGraceMs: 3_000 },
  },
  { key: '.StopGracePeriod: 10 s', line: '', json: [`${spec}StopGracePeriod`, 10 * seconds] },
  {
    key: '.Healthcheck',
    line:
      '--health-cmd "test -f /ok" --health-interval 1s --health-timeout 2s --health-start-period 3s ' +
      '--health-start-interval 4s --health-retries 5',
    json: [
      `${spec}Healthcheck`,
      {
        Test: ['CMD-SHELL', 'test -f /ok'],
        Interval: seconds,
        Timeout: 2 * seconds,
        StartPeriod: 3 * seconds,
        StartInterval: 4 * seconds,
        Retries: 5,
      },
    ],
    refused: [['--health-retries -1', /health-retries/]],
  },
  {
    key: '.Healthcheck: Test ["NONE"]',
    line: '--no-healthcheck',
    json: [`${spec}Healthcheck`, { Test: ['NONE'] }],
    refused: [['--no-healthcheck --health-cmd x', /no-healthcheck/]],
  },
  {
    key: '.Hosts[]: the address first, as on the command line the name',
    line: '--host db:10.0.0.5',
    json: [`${spec}Hosts`, ['10.0.0.5 db']],
    container: { hosts: ['10.0.0.5 db'] },
    refused: [['--host db', /HOST:IP/]],
  },
  {
    key: '.DNSConfig',
    line: '--dns 9.9.9.9 --dns-search example.org --dns-option ndots:2',
    json: [
      `${spec}DNSConfig`,
      { Nameservers: ['9.9.9.9'], Search: ['example.org'], Options: ['ndots:2'] },
    ],
    container: {
      dns: { nameservers: ['9.9.9.9'], search: ['example.org'], options: ['ndots:2'] },
    },
    refused: [['--dns nowhere', /IP address/]],
  },
  {
    key: '.Secrets[]',
    line: '--secret source=db,target=/run/db,uid=5,gid=6,mode=0400',
    json: [`${spec}Secrets.0.File`, { Name: '/run/db', UID: '5', GID: '6', Mode: 256 }],
    pretty: /^Secrets:\n Target:\t\/run\/db$/m,
    refused: [['--secret source=db,mode=abc', /mode/]],
  },
  {
    key: '.Configs[]: "0", "0", 0444',
    line: '--config source=site,target=/site',
    json: [`${spec}Configs.0.File`, { Name: '/site', UID: '0', GID: '0', Mode: 292 }],
    pretty: /^Configs:\n Target:\t\/site$/m,
  },
  {
    key: '.Sysctls',
    line: '--sysctl net.core.somaxconn=9',
    json: [`${spec}Sysctls`, { 'net.core.somaxconn': '9' }],
    container: { sysctls: { 'net.core.somaxconn': '9' } },
    refused: [
      ['--sysctl vm.swappiness=1', /"vm.swappiness"\) is one of the whole host/],
      ['--sysctl kernel.hostname=x', /one of the whole host/],
      ['--sysctl net.core.somaxconn=9 --network host', /on network "host"/],
      ['--sysctl net/../vm/swappiness=1', /is no name of a kernel setting/],
    ],
  },
  {
    key: '.CapabilityAdd, .CapabilityDrop',
    line: '--cap-add net_admin --cap-drop CAP_CHOWN',
    json: [`${spec}CapabilityAdd`, ['CAP_NET_ADMIN']],
    pretty: /^ CapabilityDrop:\tCAP_CHOWN$/m,
    container: { capAdd: ['CAP_NET_ADMIN'], capDrop: ['CAP_CHOWN'] },
    refused: [['--cap-add FLY', /no capability/]],
  },
  {
    key: '.Ulimits[]',
    line: '--ulimit nofile=10:20',
    json: [`${spec}Ulimits`, [{ Name: 'nofile', Soft: 10, Hard: 20 }]],
    container: { ulimits: [{ name: 'nofile', soft: 10, hard: 20 }] },
    refused: [
      ['--ulimit nofile=20:10', /soft/],
      ['--ulimit nofiles=1', /is none of as, core/],
      ['--ulimit nofile=-2', /-1 \(no limit\)/],
      ['--ulimit nofile=1 --ulimit nofile=2', /given twice/],
    ],
  },
  {
    key: '.OomScoreAdj',
    line: '--oom-score-adj -5',
    json: [`${spec}OomScoreAdj`, -5],
    container: { oomScoreAdj: -5 },
    refused: [['--oom-score-adj 1001', /oom-score-adj/]],
  },
  { key: '.Isolation', line: '', json: [`${spec}Isolation`, 'default'] },
]

const mountRows: readonly Row[] = [
  {
    key: 'Mounts[] bind: Propagation, NonRecursive, CreateMountpoint',
    line: '--mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave,bind-recursive=disabled,bind-create-src',
    json: [
      `${spec}Mounts.0`,
      {
        Type: 'bind',
        Source: '/a',
        Target: '/b',
        ReadOnly: true,
        BindOptions: { Propagation: 'rslave', CreateMountpoint: true, NonRecursive: true },
      },
    ],
    pretty: /^Mounts:\n Target:\t\/b\n {2}Source:\t\/a\n {2}ReadOnly:\ttrue\n {2}Type:\t\tbind$/m,
    container: {
      mounts: [{ kind: 'bind', propagation: 'rslave', nonRecursive: true, createSource: true }],
    },
    refused: [
      ['--mount type=bind,src=rel,dst=/b', /absolute path/],
      ['--mount type=volume,dst=/b,bind-propagation=slave', /type=bind only/],
      ['--mount src=a,dst=/b --mount src=c,dst=/b', /two things on "\/b"/],
    ],
  },
  {
    key: 'Mounts[] bind: ReadOnlyNonRecursive',
    line: '--mount type=bind,src=/a,dst=/b,ro,bind-recursive=writable',
    json: [`${spec}Mounts.0.BindOptions`, { ReadOnlyNonRecursive: true }],
    container: { mounts: [{ readOnlyRecursion: 'none' }] },
    refused: [['--mount type=bind,src=/a,dst=/b,bind-recursive=writable', /needs readonly/]],
  },
  {
    key: 'Mounts[] bind: ReadOnlyForceRecursive',
    line: '--mount type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate',
    json: [
      `${spec}Mounts.0.BindOptions`,
      { Propagation: 'rprivate', ReadOnlyForceRecursive: true },
    ],
    container: { mounts: [{ readOnlyRecursion: 'required' }] },
  },
  {
    key: 'Mounts[] volume: NoCopy, Labels, Subpath, DriverConfig (templated)',
    line:
      "--mount 'source=data-{{.Task.Slot}},target=/d,volume-nocopy,volume-label=a={{.Service.Name}},volume-driver=local," +
      "volume-opt=type=tmpfs'",
    json: [
      `${spec}Mounts.0.VolumeOptions`,
      {
        NoCopy: true,
        Labels: { a: '{{.Service.Name}}' },
        DriverConfig: { Name: 'local', Options: { type: 'tmpfs' } },
      },
    ],
    pretty: /^ {2}Options:\ttype=tmpfs$/m,
    container: {
      mounts: [
        {
          kind: 'volume',
          name: 'data-3',
          noCopy: true,
          labels: { a: 'web' },
          options: { type: 'tmpfs' },
        },
      ],
    },
    refused: [
      ['--mount src=data,dst=/d,volume-driver=flocker', /"local" only/],
      ['--mount src=data,dst=/d,volume-subpath=../x', /inside the volume/],
    ],
  },
  {
    key: 'Mounts[]: Consistency',
    line: '--mount src=data,dst=/d,consistency=cached',
    json: [`${spec}Mounts.0.Consistency`, 'cached'],
    pretty: /^ {2}Consistency:\tcached$/m,
    container: { mounts: [{ kind: 'volume', name: 'data' }] },
    refused: [['--mount src=data,dst=/d,consistency=soon', /consistency must be one of default,/]],
  },
  {
    key: 'Mounts[] volume: Subpath',
    line: '--mount src=data,dst=/d,volume-subpath=a/b',
    json: [`${spec}Mounts.0.VolumeOptions`, { Subpath: 'a/b' }],
    container: { mounts: [{ subpath: 'a/b' }] },
  },
  {
    key: 'Mounts[] tmpfs: SizeBytes, Mode',
    line: '--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770',
    json: [`${spec}Mounts.0.TmpfsOptions`, { SizeBytes: 2 ** 20, Mode: 0o1770 }],
    container: { mounts: [{ kind: 'tmpfs', sizeBytes: 2 ** 20, mode: 0o1770 }] },
    refused: [['--mount type=tmpfs,src=x,dst=/t', /source/]],
  },
]

/** What the node's engine has not yet, or Linux never has: the flag or field, and the words. */
const later: readonly (readonly [string, string, RegExp])[] = [
  ['Mounts[].Type npipe', '--mount type=npipe,src=a,dst=/b', /may be bind, volume or tmpfs/],
  ['Mounts[].Type cluster', '--mount type=cluster,src=a,dst=/b', /may be bind, volume or tmpfs/],
  ['Mounts[].Type image', '--mount type=image,src=a,dst=/b', /may be bind, volume or tmpfs/],
  ['Mounts[].ImageOptions', '--mount src=a,dst=/b,image-subpath=x', /images cannot be mounted/],
]

function at(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce((found: unknown, key) => Reflect.get(Object(found), key) as unknown, value)
}

const usual = create('')

function pretty(given: ServiceSpec): string {
  const service = aService({ name: 'web' })
  const ports = given.task.ports.filter(({ mode }) => mode === 'ingress')
  return prettyService({ ...service, spec: given, endpoint: { ...service.endpoint, ports } })
}

for (const row of [...serviceRows, ...taskRows, ...containerRows, ...mountRows]) {
  t.test(`${row.key} (swarm-semantics 2)`, async (t) => {
    const given = create(row.line)
    t.strictSame(checkServiceSpec(given), [], 'accepted')
    const bytes = ServiceSpecProto.encode(serviceSpecToProto(given)).finish()
    t.strictSame(parseServiceSpec(ServiceSpecProto.decode(bytes)), given, 'kept as it is')
    const [path, value] = row.json
    t.strictSame(at(serviceSpecJson(given), path), value, 'shown by inspect')
    const text = pretty(given)
    if (row.pretty !== undefined) t.match(text, row.pretty)
    if (!isDeepStrictEqual(given, usual)) t.not(text, pretty(usual), 'told by inspect --pretty')
    if (row.container !== undefined) {
      t.match(
        containerConfig(anAssignedTask({ id: 'abc', slot: 3 }), given.task, host),
        row.container,
      )
    }
    for (const [line, words] of row.refused ?? []) {
      t.throws(() => checkServiceSpec(create(line)), { message: words }, line)
    }
  })
}

for (const [key, line, words] of later) {
  t.test(`${key} is refused (swarm-semantics 2)`, async (t) => {
    t.throws(() => create(line), { message: words })
  })
}

t.test('.Isolation and .Privileges.CredentialSpec are of Windows', async (t) => {
  for (const flag of ['isolation', 'credential-spec']) {
    t.match(absentServiceFlag(flag), 'it is for Windows, and tsswarm runs on Linux')
  }
})
