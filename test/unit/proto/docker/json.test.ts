// Objects in Docker's JSON: field names, nanoseconds, what is left out. Golden texts, for scripts depend on them.
import t from 'tap'
import { dockerTime, nanoseconds, omitEmpty } from '../../../../proto/docker/json.ts'
import { nodeJson } from '../../../../proto/docker/node-json.ts'
import { serviceJson } from '../../../../proto/docker/service-json.ts'
import { raftId, type Service } from '../../../../proto/objects/index.ts'
import { serviceSpec } from '../../../../proto/spec/service-spec.ts'
import { golden } from '../../../support/golden.ts'
import { aNode, aService } from '../../../support/objects.ts'

const text = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

t.test('what is empty is left out', async (t) => {
  t.strictSame(omitEmpty({ a: '', b: 0, c: false, d: [], e: {}, f: undefined, g: 'x', h: [0] }), {
    g: 'x',
    h: [0],
  })
  t.equal(dockerTime(1_700_000_000_123), '2023-11-14T22:13:20.123000000Z')
  t.equal(nanoseconds(10_000), 1e10)
})

t.test('a service with everything, and one with nothing', async (t) => {
  const plain = aService({ name: 'web' })
  golden(t, 'test/golden/docker/service-plain.txt', text(serviceJson(plain)))
  const spec = serviceSpec.parse({
    name: 'web',
    labels: { tier: 'front' },
    mode: { kind: 'replicated', replicas: 3 },
    task: {
      container: {
        image: 'nginx:1',
        labels: { c: '1' },
        command: ['sh'],
        args: ['-c', 'true'],
        hostname: 'h',
        env: ['A=1'],
        workdir: '/srv',
        user: '1000',
        groups: ['video'],
        init: true,
        tty: true,
        openStdin: true,
        readOnly: true,
        stopSignal: 'SIGINT',
        stopGraceMs: 3_000,
        mounts: [
          {
            kind: 'bind',
            source: '/a',
            target: '/b',
            readOnly: true,
            bindPropagation: 'rslave',
            bindCreate: true,
          },
          { kind: 'volume', source: 'data', target: '/data', volumeNoCopy: true },
          { kind: 'tmpfs', target: '/tmp', tmpfsSizeBytes: 1024, tmpfsMode: 0o1777 },
        ],
        capAdd: ['CAP_NET_ADMIN'],
        capDrop: ['CAP_CHOWN'],
        hosts: ['db:10.0.0.5', 'six:fd00::1'],
        sysctls: { 'net.core.somaxconn': '1' },
        ulimits: [{ name: 'nofile', soft: 1, hard: 2 }],
      },
      limits: { nanoCpus: 5e8, memoryBytes: 2 ** 26, pids: 100 },
      reservations: { memoryBytes: 2 ** 25 },
      restart: { condition: 'on-failure', delayMs: 1_000, maxAttempts: 3, windowMs: 60_000 },
      placement: {
        constraints: ['node.role==worker'],
        spread: ['node.labels.zone'],
        maxReplicasPerNode: 1,
        platforms: [{ os: 'linux', architecture: 'x86_64' }],
        strategy: 'binpack',
      },
      ports: [
        {
          mode: 'host',
          targetPort: 80,
          publishedPort: 8080,
          bindAddress: '10.0.0.1',
          name: 'http',
        },
        { mode: 'host', targetPort: 53, protocol: 'udp' },
      ],
      forceUpdate: 2,
    },
  })
  const updateStatus = {
    state: 'completed' as const,
    startedAtMs: 1_000,
    completedAtMs: 2_000,
    message: 'update completed',
    slots: 1,
  }
  const full: Service = { ...plain, version: 12, spec, previousSpec: plain.spec, updateStatus }
  golden(t, 'test/golden/docker/service-full.txt', text(serviceJson(full)))
})

t.test('nodes', async (t) => {
  const worker = aNode({ id: 'w', labels: { a: '1' }, engineLabels: { b: '2' } })
  golden(t, 'test/golden/docker/node-worker.txt', text(nodeJson(worker, undefined)))
  const manager = {
    ...aNode({ id: 'm', role: 'manager' as const }),
    manager: { raftId: raftId('r'), address: '10.0.0.1:2377', raftAddress: '10.0.0.1:2378' },
    stateMessage: 'heartbeat missed',
  }
  const status = { leader: true, reachability: 'reachable' } as const
  golden(t, 'test/golden/docker/node-manager.txt', text(nodeJson(manager, status)))
  t.match(nodeJson(manager, undefined), { ManagerStatus: { Reachability: 'unknown' } })
  const fresh = { ...worker, description: undefined }
  t.match(nodeJson(fresh, undefined), { Description: { Hostname: '', Resources: { NanoCPUs: 0 } } })
})
