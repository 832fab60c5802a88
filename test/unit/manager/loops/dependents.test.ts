import t from 'tap'
import { Dependents } from '../../../../manager/loops/dependents.ts'
import { aService } from '../../../support/objects.ts'

t.test('those that depend on a service, as their specs are now', async (t) => {
  const dependents = new Dependents()
  const db = aService({ id: 'db' })
  t.strictSame([...dependents.of(db)], [])
  const web = (service: string) => aService({ id: 'web', task: { dependsOn: [{ service }] } })
  dependents.put(web('DB'))
  dependents.put(aService({ id: 'api', task: { dependsOn: [{ service: 'db' }] } }))
  t.strictSame([...dependents.of(db)], ['web', 'api'])
  t.strictSame([...dependents.of(aService({ id: 'x' }))], [])
  dependents.put(web('x'))
  t.strictSame([...dependents.of(db)], ['api'])
  dependents.drop('api')
  dependents.drop('web')
  t.strictSame([...dependents.of(db)], [])
})
