// The service model on real containers: one lab of a manager and two workers for all suites, each with services of its own.
import t from 'tap'
import { TestLab } from '../support/test-lab.ts'
import { attach } from './services/attach.ts'
import { health } from './services/health.ts'
import { modes } from './services/modes.ts'
import { offeredResources, place } from './services/place.ts'
import { secrets } from './services/secrets.ts'
import { stacks } from './services/stacks.ts'
import { streams } from './services/streams.ts'
import { updates } from './services/updates.ts'
import { volumes } from './services/volumes.ts'

t.setTimeout(900_000)
const lab = await TestLab.up('services', {
  managers: 1,
  workers: 2,
  daemonEnv: { TSSWARM_NODE_GENERIC_RESOURCES: offeredResources },
})
t.teardown(() => lab.down())

t.test('updates that fail', (t) => updates(t, lab))
t.test('secrets and configs', (t) => secrets(t, lab))
t.test('modes', (t) => modes(t, lab))
t.test('stacks', (t) => stacks(t, lab))
t.test('work in containers', (t) => streams(t, lab))
t.test('attach', (t) => attach(t, lab))
t.test('volumes and dependencies', (t) => volumes(t, lab))
t.test('health checks', (t) => health(t, lab))
t.test('placement', (t) => place(t, lab))
