//! The portal's main job, end to end: the demo's steps, each as it should be.

use tp_tests::exchange::Scenario;

#[test]
fn each_client_leaves_by_the_isp_that_it_chose() {
    let scenario = Scenario::start("exchange").unwrap();
    let tell = |row: &_| {
        println!("{row:#?}");
        Ok(())
    };
    let rows = scenario.run(tell).unwrap();
    let bad: Vec<_> = rows.iter().filter(|row| !row.good).collect();
    let counters = scenario.tpd.json(&["show", "counters"]).unwrap();
    assert!(bad.is_empty(), "{bad:#?}\n{counters:#}");
    assert_eq!(rows.len(), 9);
    assert!(
        scenario
            .tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );
}
