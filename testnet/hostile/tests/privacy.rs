//! Privacy: a stranger's question has one answer, whether a person, a handle or a room exists or not.

mod stage;

use stage::attacks;

#[tokio::test]
async fn f4_whether_a_person_exists_is_not_told() {
    attacks(&["does-a-person-exist"]).await;
}

#[tokio::test]
async fn f4_whether_a_room_exists_is_not_told() {
    attacks(&["does-a-room-exist", "does-a-room-exist-for-a-peer"]).await;
}
